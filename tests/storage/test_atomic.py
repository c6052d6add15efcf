"""Files written at once."""

from pathlib import Path

import pytest

from storage.atomic import write_file


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
