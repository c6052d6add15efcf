"""Files written at once."""

import os
from pathlib import Path

import pytest

from storage.atomic import atomic_write, write_file


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("größer\n", "größer\n".encode()),
        (b"\xff\x00", b"\xff\x00"),
        ("a name \udcff of bytes", b"a name \\udcff of bytes"),
    ],
    ids=["text", "bytes", "not_utf_8"],
)
def test_a_file_has_its_content_and_nothing_stays_beside_it(
    content: str | bytes, expected: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "folder" / "file"
    for _ in range(2):  # the second time in place of the first
        write_file(path, content)
        assert path.read_bytes() == expected
    assert list(path.parent.iterdir()) == [path]


def test_the_error_of_a_full_disk_names_the_file_and_the_old_content_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, "old")
    with pytest.raises(OSError, match=f"No space left on device: '{path}'"):
        _fill_the_disk(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def _fill_the_disk(path: Path) -> None:
    with atomic_write(path) as file:
        file.write(b"new")
        raise OSError(28, "No space left on device")  # as `write` raises it, without a name


def test_a_pipe_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        with pytest.raises(OSError, match="is a device or a pipe, expected a file") as caught:
            write_file(tmp_path / name, "x")
        assert caught.value.filename == str(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe"]
    assert (tmp_path / "link").is_fifo()
