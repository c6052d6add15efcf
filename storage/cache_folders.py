"""Cache folders of numba, Matplotlib and Triton, chosen before these packages are imported.

numba caches machine code beside the sources or in the user's cache folder. It fails if it can write
to neither folder, or if the disk is full. This module chooses the first folder that has room, and
names the folder in the variable NUMBA_CACHE_DIR, which child processes inherit. If no folder has
room, numba gets a temporary folder that lasts as long as the process, and one line on standard
error says so. Matplotlib and Triton need a folder in the user's home, and get the temporary folder
if the home cannot be written.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

NUMBA_VARIABLE = "NUMBA_CACHE_DIR"
NEEDED_BYTES = 32 * 2**20
"""Free space in bytes that numba's cache folder must have: three times the size of the compiled
code of this project and of librosa."""


def choose_numba_folder() -> None:
    """Set NUMBA_CACHE_DIR to a folder with `NEEDED_BYTES` of free space.

    The user's NUMBA_CACHE_DIR is kept if it has room. Without any such folder, one line is printed
    and a temporary folder is used. If the user has set NUMBA_CACHE_LOCATOR_CLASSES, nothing is
    done.

    Raises:
        SystemExit: if not even a temporary folder can be written.
    """
    named = os.environ.get(NUMBA_VARIABLE)
    if os.environ.get("NUMBA_CACHE_LOCATOR_CLASSES"):
        return  # the user has chosen how numba finds its cache
    obstacles = []
    for folder in [Path(named)] if named else _usual_folders():
        obstacle = _obstacle(folder)
        if obstacle is None:
            os.environ[NUMBA_VARIABLE] = str(folder)
            return
        obstacles.append(f"{folder}: {obstacle}")
    _say(
        f"compiled code is not kept for the next run ({'; '.join(obstacles)}); name a folder with "
        f"{NEEDED_BYTES // 2**20} MB free by {NUMBA_VARIABLE}"
    )
    os.environ[NUMBA_VARIABLE] = _temporary_folder()


def choose_other_folders() -> None:
    """Set MPLCONFIGDIR and TRITON_CACHE_DIR if the user's home cannot be written."""
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    for variable, usual in (
        ("MPLCONFIGDIR", Path(config) / "matplotlib"),
        ("TRITON_CACHE_DIR", Path(os.path.expanduser("~/.triton/cache"))),
    ):
        if variable not in os.environ and not _can_be_written(usual):
            os.environ[variable] = _temporary_folder()


def user_caches() -> Path:
    """Return the folder of the user's caches; a relative path if the account has no home."""
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))


def _usual_folders() -> list[Path]:
    """Return a folder beside the sources and, if the user has a home, one in the user's cache."""
    folders = [Path(__file__).parent / "__pycache__"]
    caches = user_caches()
    if caches.is_absolute():  # an account without a home leaves the "~"
        folders.append(caches / "numba")
    return folders


def _obstacle(folder: Path) -> str | None:
    """Create a missing folder; return why it cannot hold compiled code, or None if it can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))  # a full disk may accept a new file, and may report free space
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return error.strerror or str(error)
    return None if free >= NEEDED_BYTES else f"{free / 2**20:.0f} MB free"


def _can_be_written(folder: Path) -> bool:
    """Return whether a folder can be written, or created and written; create nothing."""
    if not folder.is_absolute():
        return False
    # Path.exists raises an error within a folder that this user may not search.
    nearest = next(path for path in (folder, *folder.parents) if os.path.exists(path))
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


@cache
def _temporary_folder() -> str:
    """Make one temporary folder for this process, removed at exit; SystemExit if impossible."""
    # In a read-only container /tmp cannot be written, but shared memory can.
    for parent in (None, "/dev/shm"):
        try:
            folder = tempfile.mkdtemp(prefix="parallel-wavenet-", dir=parent)
        except OSError as error:
            obstacle = error
            continue
        if parent is not None:
            os.environ["TMPDIR"] = folder  # other packages need temporary files, too
        atexit.register(_remove, folder, os.getpid())
        return folder
    _say(f"no folder can be written, not even a temporary one: {obstacle}")
    raise SystemExit(2)


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:  # not in a forked process
        shutil.rmtree(folder, ignore_errors=True)


def _say(line: str) -> None:
    if sys.stderr is not None:
        print(f"parallel-wavenet: {line}", file=sys.stderr)


choose_numba_folder()
choose_other_folders()
