"""A lock that lets one run at a time use a folder, or a share of the work in the folder."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from storage.atomic import remove_temporaries

LOCK_FILE = ".lock"


class FolderInUseError(ValueError):
    """Another run holds the folder; the message names both."""


@contextmanager
def folder_lock(folder: Path, part: str = "") -> Iterator[None]:
    """Keep other runs out of a folder, or out of a share of its work, until the block ends.

    A missing folder is created, and unfinished files of killed runs are removed. The operating
    system releases the lock when the process that holds it dies, even if the process is killed.

    Args:
        folder: the folder that the run writes to.
        part: name of the run's share, if runs divide the work; "" for all of the work.
    Raises:
        FolderInUseError: at once, if another run has the folder or this share; for "", any share.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        if part:
            held.enter_context(_locked(folder, LOCK_FILE, fcntl.LOCK_SH))
            held.enter_context(_locked(folder, f"{LOCK_FILE}-{part}", fcntl.LOCK_EX))
        else:
            held.enter_context(_locked(folder, LOCK_FILE, fcntl.LOCK_EX))
        remove_temporaries(folder)
        yield


@contextmanager
def _locked(folder: Path, name: str, kind: int) -> Iterator[None]:
    # The lock file is never removed: otherwise two runs could lock two files of one name.
    with open(folder / name, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read(200).strip() or "not known which"
            raise FolderInUseError(f"{folder}: in use by another run ({holder})") from None
        if kind == fcntl.LOCK_EX:
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
        yield
