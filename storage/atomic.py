"""Atomic writes: a file appears whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_TEMPORARY = re.compile(r"\.\d+-[0-9a-f]{16}\.tmp")


@contextmanager
def atomic_write(path: Path, *, sync_name: bool = True) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; replace `path` by it when the block ends without error.

    Missing folders are created. If the block raises, `path` is left unchanged and the temporary
    file is removed. A killed process leaves its temporary file behind, which `remove_temporaries`
    deletes. The process holds a lock on the temporary file, and the system releases the lock when
    the process dies. When the block has ended, the content is on the disk, and with `sync_name` the
    name, too.

    Args:
        path: the file to write.
        sync_name: False does not wait until the name is on the disk, which the system may write
            seconds later. It suits many small files that can be made again.
    Returns:
        A context manager that yields the open binary file.
    Raises:
        OSError: if the disk is full, for instance, or if `path` is a device or a pipe, which would
            be replaced, too; the error names `path`.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "is a device or a pipe, expected a file", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, file = _open_temporary(path.parent)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, path)
        if sync_name:
            _sync_folder(path.parent)
    except OSError as error:
        if error.errno is not None and error.filename is None:  # `write` names no file
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_file(path: Path, content: str | bytes) -> None:
    """Write a whole file at once, or not at all; see `atomic_write`.

    Args:
        path: the file to write.
        content: bytes, or text to be written as UTF-8. Surrogates (Python's stand-ins for bytes of
            file names that are not UTF-8) are written as escapes such as `\\udcff`, as in JSON.
    """
    if isinstance(content, str):
        content = content.encode(errors="backslashreplace")
    with atomic_write(path) as file:
        file.write(content)


def remove_temporaries(folder: Path) -> None:
    """Delete the temporary files of dead processes in a folder and all its subfolders.

    A living process holds a lock on its temporary file; locked files are left alone.

    Args:
        folder: the folder to search.
    """
    for path in folder.rglob(".*.tmp"):
        if _TEMPORARY.fullmatch(path.name):
            _remove_if_abandoned(path)


def _open_temporary(folder: Path) -> tuple[Path, BinaryIO]:
    """Create and lock a temporary file, named after this process."""
    while True:
        # The name is short, because the target's name may be as long as the file system allows.
        # Files of the module tempfile would stay readable by their owner alone: use open().
        path = folder / f".{os.getpid()}-{secrets.token_hex(8)}.tmp"
        file = open(path, "xb")  # noqa: SIM115 - the caller closes it
        _lock(file, fcntl.LOCK_EX)
        if path.exists():  # otherwise another process deleted the file before it was locked
            return path, file
        file.close()


def _remove_if_abandoned(path: Path) -> None:
    # Opening fails for another user's file, and for a file that has been finished meanwhile.
    with suppress(OSError), path.open("rb+") as file:
        if _lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB):
            path.unlink(missing_ok=True)


def _lock(file: BinaryIO, kind: int) -> bool:
    """Lock a file; False if another process holds it, or the file system has no locks."""
    try:
        fcntl.flock(file, kind)
    except OSError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    # Without this, a renamed file may have its old name, or none, after a power failure.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot
            raise
    finally:
        os.close(descriptor)
