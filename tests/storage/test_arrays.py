"""Arrays in files: NumPy's files are read, everything else is refused in one line."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest

from storage.arrays import ArrayError, check_digest, open_array, write_array


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.int16),
        np.arange(12, dtype=np.float32).reshape(3, 4),
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(6, dtype=">f8").reshape(1, 2, 3),
        np.array([True, False]),
        np.array(1.5),
        np.zeros((0, 80)),
        np.ones(3, complex),
    ],
    ids=lambda a: f"{a.dtype}{a.shape}",
)
def test_what_numpy_writes_is_read(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    found = open_array(tmp_path / "a.npy")
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_every_version_of_the_format_is_read(tmp_path: Path) -> None:
    for version in ((1, 0), (2, 0), (3, 0)):
        with open(tmp_path / "a.npy", "wb") as file:
            np.lib.format.write_array(file, np.arange(5), version=version)
        np.testing.assert_array_equal(open_array(tmp_path / "a.npy"), np.arange(5))


def test_an_array_cannot_be_written_to(tmp_path: Path) -> None:
    write_array(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(ValueError, match="read-only"):
        open_array(tmp_path / "a.npy")[0] = 1


def test_different_files_have_different_digests(tmp_path: Path) -> None:
    digest = write_array(tmp_path / "a.npy", np.zeros(3))
    check_digest(tmp_path / "a.npy", digest)
    write_array(tmp_path / "a.npy", np.ones(3))
    with pytest.raises(ArrayError, match=r"a\.npy: damaged: sha256 is"):
        check_digest(tmp_path / "a.npy", digest)
    with pytest.raises(ArrayError, match=r"b\.npy: No such file"):
        check_digest(tmp_path / "b.npy", digest)


def saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


WHOLE = saved(np.zeros((4, 5), np.float32))


def with_header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a .npy file"),
        (b"RIFF" * 20, "not a .npy file"),
        (pickle.dumps([1, 2]), "not a .npy file"),
        (WHOLE[:6] + b"\x09\x00" + WHOLE[8:], "not a .npy file"),
        (WHOLE[:60], "plain numbers"),
        (WHOLE[:-1], "has 207 bytes, expected 208 as its header says"),
        (WHOLE + b"x", "has 209 bytes, expected 208"),
        (saved(np.array([{"a": 1}], object)), "objects are never loaded"),
        (saved(np.array(["text"])), "plain numbers"),
        (saved(np.zeros(2, [("a", "f4")])), "plain numbers"),
        (WHOLE.replace(b"<f4", b"<f3"), "holds '<f3', expected a type of numbers"),
        (WHOLE.replace(b"(4, 5), ", b"(4, 5e9)"), "plain numbers"),
        (WHOLE.replace(b"(4, 5), }  ", b"(4, 999), }"), "has 208 bytes, expected 16112"),
        (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (4 4,), }"), "impossible"),
        (
            with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (%s,), }" % ("9" * 19)),
            "impossible shape",
        ),
        (
            with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }" % ("1," * 40)),
            "impossible shape",
        ),
        (with_header("(" * 5000), "plain numbers"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "header of 4294967295 bytes"),
    ],
)
def test_anything_else_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(ArrayError, match=message) as caught:
        open_array(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ArrayError, match=r"nothing\.npy: No such file"):
        open_array(tmp_path / "nothing.npy")
    with pytest.raises(ArrayError, match="Is a directory"):
        open_array(tmp_path)
