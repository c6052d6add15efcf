"""One run at a time on one folder."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.atomic import remove_temporaries

LOCK_FILE = ".lock"


class FolderInUseError(ValueError):
    """Another run holds the folder; the message names both."""


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Keep every other run out of a folder, which is made if needed, until the block ends.

    The operating system releases the lock when its holder dies, however it dies. With the lock
    come the remains of files that a killed run did not finish: they are removed.

    Args:
        folder: what the run writes to.
    Raises:
        FolderInUseError: at once, if another run holds the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # The file stays: removing it would let two runs lock two files of the same name.
    with open(folder / LOCK_FILE, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read(200).strip() or "not known which"
            raise FolderInUseError(f"{folder}: in use by another run ({holder})") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        remove_temporaries(folder)
        yield
