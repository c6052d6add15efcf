"""Arrays in `.npy` and `.npz` files, read without trust in the files' headers."""

from __future__ import annotations

import hashlib
import io
import lzma
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from storage.atomic import atomic_write
from storage.digests import sha256_of

_MAGIC = b"\x93NUMPY"
_LENGTH_BYTES = {(1, 0): 2, (2, 0): 4, (3, 0): 4}
_MAX_HEADER_BYTES = 10_000  # an array of plain numbers has a header of about a hundred bytes
_MAX_DIMENSIONS = 32
_MAX_UNPACKED_BYTES = 2**32
# Errors of an archive that is damaged, encrypted, or compressed by an unknown method.
_ARCHIVE_ERRORS = (
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
# The header that NumPy and its imitators write for arrays of numbers. NumPy evaluates the header as
# a Python literal, which fails in many ways if the header is damaged.
_HEADER = re.compile(
    r"\{\s*'descr':\s*'(?P<dtype>[<>|=]?[biufc]\d{1,2})',\s*"
    r"'fortran_order':\s*(?P<fortran>True|False),\s*"
    r"'shape':\s*\((?P<shape>[\d,\s]*)\),?\s*\}\s*",
    re.ASCII,
)


class ArrayError(ValueError):
    """A file does not hold the expected array; the message names the file, in one line."""


@dataclass(frozen=True)
class Header:
    """The header of a `.npy` file.

    Args:
        dtype: type of the values, plain numbers.
        shape: shape of the array.
        fortran_order: whether the first index runs fastest.
        offset: position of the first value in the file, bytes.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran_order: bool
    offset: int

    @property
    def num_bytes(self) -> int:
        """Size of the whole file in bytes, header included."""
        return self.offset + self.dtype.itemsize * math.prod(self.shape)


def open_array(path: Path) -> npt.NDArray[Any]:
    """Map a `.npy` file of numbers into memory; values are read from the disk when they are used.

    Args:
        path: a file that `numpy.save` wrote. Objects, records and strings are refused: objects are
            pickles, and loading a pickle runs the code in it.
    Returns:
        the array, read-only; an array without values is a new, writable one.
    Raises:
        ArrayError: if the file is missing, not an array of numbers, or longer or shorter than its
            header says.
    """
    try:
        with open(path, "rb") as file:
            header = read_header(file)
            found = file.seek(0, io.SEEK_END)
        if found != header.num_bytes:
            raise ValueError(f"has {found} bytes, expected {header.num_bytes} as its header says")
        if 0 in header.shape:
            return np.empty(header.shape, header.dtype)
        order: Any = "F" if header.fortran_order else "C"
        return np.memmap(path, header.dtype, "r", header.offset, header.shape, order)
    except OSError as error:
        raise ArrayError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ArrayError(f"{path}: {error}") from error


def read_header(file: IO[bytes]) -> Header:
    """Read the header of an array of numbers, and leave the file at the first value.

    Args:
        file: an open file, at its beginning.
    Returns:
        the header.
    Raises:
        ValueError: if the file does not begin with the header of an array of numbers.
    """
    start = file.read(8)
    version = tuple(start[6:])
    if start[:6] != _MAGIC or version not in _LENGTH_BYTES:
        raise ValueError("is not a .npy file")
    width = _LENGTH_BYTES[version]
    length = int.from_bytes(file.read(width), "little")
    if length > _MAX_HEADER_BYTES:
        raise ValueError(f"has a header of {length} bytes, expected <= {_MAX_HEADER_BYTES}")
    text = file.read(length)
    fields = _HEADER.fullmatch(text.decode("latin-1"))
    if len(text) != length or fields is None:
        raise ValueError("is not a .npy file of plain numbers (objects are never loaded)")
    try:
        dtype = np.dtype(fields["dtype"])
    except TypeError as error:
        raise ValueError(f"holds {fields['dtype']!r}, expected a type of numbers") from error
    sizes = [size.strip() for size in fields["shape"].split(",")]
    if len(sizes) > _MAX_DIMENSIONS or any(len(size) > 18 for size in sizes):
        raise ValueError("has an impossible shape in its header")
    try:
        shape = tuple(int(size) for size in sizes if size)
    except ValueError:
        raise ValueError("has an impossible shape in its header") from None
    return Header(dtype, shape, fields["fortran"] == "True", 8 + width + length)


def archive_keys(path: Path) -> list[str]:
    """List the arrays of a `.npz` archive.

    Raises:
        ArrayError: if the archive is missing or damaged.
    """
    with _open_archive(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".npy")]
    return [name.removesuffix(".npy") for name in names]


def load_archived(path: Path, key: str) -> npt.NDArray[Any]:
    """Read one array of numbers from a `.npz` archive.

    Args:
        path: an archive that `numpy.savez` or `numpy.savez_compressed` wrote.
        key: one of `archive_keys`, else KeyError.
    Returns:
        The array, read-only.
    Raises:
        ArrayError: if the archive is missing or damaged, or the entry is not an array of numbers,
            exceeds 4 GiB, or differs in size from its header.
    """
    with _open_archive(path) as archive, archive.open(f"{key}.npy") as file:
        header = read_header(file)
        # A few compressed bytes can expand to any number of bytes.
        if header.num_bytes > _MAX_UNPACKED_BYTES:
            raise ValueError(f"{key} has {header.num_bytes} bytes, at most {_MAX_UNPACKED_BYTES}")
        content = file.read(header.num_bytes - header.offset + 1)
        if len(content) != header.num_bytes - header.offset:
            raise ValueError(f"{key} is not of the size its header says")
        order: Any = "F" if header.fortran_order else "C"
        return np.frombuffer(content, header.dtype).reshape(header.shape, order=order)


@contextmanager
def _open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except OSError as error:
        raise ArrayError(f"{path}: {error.strerror or error}") from error
    except _ARCHIVE_ERRORS as error:
        raise ArrayError(f"{path}: {error or 'damaged archive'}") from error


def write_array(path: Path, array: npt.NDArray[Any]) -> str:
    """Write a `.npy` file, whole or not at all.

    Args:
        path: name of the file, which ends in .npy.
        array: an array of numbers.
    Returns:
        SHA-256 of the file, hexadecimal.
    """
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    content = buffer.getvalue()
    with atomic_write(path, sync_name=False) as file:
        file.write(content)
    return hashlib.sha256(content).hexdigest()


def check_digest(path: Path, sha256: str) -> None:
    """Refuse a file whose content has changed since it was written.

    Args:
        path: the file.
        sha256: the expected SHA-256, hexadecimal.
    Raises:
        ArrayError: if the file has another SHA-256, or cannot be read.
    """
    try:
        found = sha256_of(path)
    except OSError as error:
        raise ArrayError(f"{path}: {error.strerror or error}") from error
    if found != sha256:
        raise ArrayError(f"{path}: damaged: sha256 is {found[:16]}..., expected {sha256[:16]}...")
