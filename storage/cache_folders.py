"""Where numba, Matplotlib and Triton keep what they make once; decided before they are imported.

numba keeps machine code beside the sources or in the user's cache, and fails where it can write to
neither, or where the disk is full. Here the first folder that has room is chosen, by the variable
NUMBA_CACHE_DIR, which processes started by this one inherit. Where there is none, what is compiled
lasts as long as this process, in a temporary folder, and one line on standard error says so. The
others need a folder in the user's home, and get the temporary one where there is no home to write.
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
"""All that is compiled here and in librosa takes a third of it."""


def choose_numba_folder() -> None:
    """Set NUMBA_CACHE_DIR to a folder with room, unless the user has, and to such a one."""
    named = os.environ.get(NUMBA_VARIABLE)
    if os.environ.get("NUMBA_CACHE_LOCATOR_CLASSES"):
        return  # whoever sets this has thought of everything
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
    """Set MPLCONFIGDIR and TRITON_CACHE_DIR where there is no home to write."""
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    for variable, usual in (
        ("MPLCONFIGDIR", Path(config) / "matplotlib"),
        ("TRITON_CACHE_DIR", Path(os.path.expanduser("~/.triton/cache"))),
    ):
        if variable not in os.environ and not _can_be_written(usual):
            os.environ[variable] = _temporary_folder()


def _usual_folders() -> list[Path]:
    """Beside the sources, and among the user's caches if there is such a place."""
    folders = [Path(__file__).parent / "__pycache__"]
    caches = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    if caches.is_absolute():  # an account without a home leaves the "~"
        folders.append(caches / "numba")
    return folders


def _obstacle(folder: Path) -> str | None:
    """Say why a folder cannot keep compiled code, if it cannot."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))  # a full disk takes the name of a file, and may say it has room
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return error.strerror or str(error)
    return None if free >= NEEDED_BYTES else f"{free / 2**20:.0f} MB free"


def _can_be_written(folder: Path) -> bool:
    """Tell whether a folder can be written, or made, without making it."""
    if not folder.is_absolute():
        return False
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


@cache
def _temporary_folder() -> str:
    """Make a folder that is removed when this process ends."""
    # A container that is read-only has no /tmp that can be written, but shared memory.
    for parent in (None, "/dev/shm"):
        try:
            folder = tempfile.mkdtemp(prefix="parallel-wavenet-", dir=parent)
        except OSError as error:
            obstacle = error
            continue
        if parent is not None:
            os.environ["TMPDIR"] = folder  # others need temporary files, too
        atexit.register(_remove, folder, os.getpid())
        return folder
    _say(f"no folder can be written, not even a temporary one: {obstacle}")
    raise SystemExit(2)


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:  # not a process forked from it
        shutil.rmtree(folder, ignore_errors=True)


def _say(line: str) -> None:
    if sys.stderr is not None:
        print(f"parallel-wavenet: {line}", file=sys.stderr)


choose_numba_folder()
choose_other_folders()
