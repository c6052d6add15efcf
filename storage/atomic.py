"""Files that appear whole or not at all."""

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
    """Open a temporary file beside `path` that replaces it when the block ends well.

    The folders above are made as needed. If the block raises, `path` is left as it was and the
    temporary file is removed; a process killed in the midst leaves it behind, for
    `remove_temporaries`. Until then the process holds a lock on it, which the system releases when
    the process dies. Both the content and the name are on the disk when the block has ended.

    Args:
        path: the file to write.
        sync_name: False leaves the name to the system, which may take seconds to write it: for
            many small files that can be made again.
    Returns:
        A context manager that yields the open binary file.
    """
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
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporaries(folder: Path) -> None:
    """Delete what dead processes left of unfinished files, in a folder and all below it.

    A file that a living process is writing is locked, and stays.
    """
    for path in folder.rglob(".*.tmp"):
        if _TEMPORARY.fullmatch(path.name):
            _remove_if_abandoned(path)


def _open_temporary(folder: Path) -> tuple[Path, BinaryIO]:
    """Make a file that is locked, and named after this process."""
    while True:
        # A short name of its own: the target's may already be as long as the file system allows.
        # Plain open() rather than tempfile, whose files stay readable by their owner alone.
        path = folder / f".{os.getpid()}-{secrets.token_hex(8)}.tmp"
        file = open(path, "xb")  # noqa: SIM115 - the caller closes it
        _lock(file, fcntl.LOCK_EX)
        if path.exists():  # else another process took it for abandoned before it was locked
            return path, file
        file.close()


def _remove_if_abandoned(path: Path) -> None:
    # Another user's file, or one that is finished meanwhile, is none of this process's business.
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
    # A renamed file may otherwise have its old name, or none, after a power failure.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot
            raise
    finally:
        os.close(descriptor)
