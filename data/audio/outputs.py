"""Marks of folders of audio that the program makes, to tell them from folders of recordings."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from storage.overwriting import OverwriteError

MARKER_FILE = ".made-by-parallel-wavenet"
_TEXT = """\
The files here are made by parallel-wavenet. A search for recordings that starts in a folder above
leaves them out, so that they are not taken for recordings. Delete this file to have them counted.
"""


def mark_output(folder: Path) -> None:
    """Make a folder that is about to be filled, and mark it.

    A folder that holds anything but hidden files gets no mark, because it may hold recordings.

    Args:
        folder: where files are going to be written; made if it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not any(not path.name.startswith(".") for path in folder.iterdir()):
        (folder / MARKER_FILE).write_text(_TEXT, encoding="utf-8")


def is_output(folder: Path) -> bool:
    """Tell whether a folder is marked; a folder that cannot be read counts as not marked."""
    return os.path.exists(folder / MARKER_FILE)


def refuse_foreign_files(folder: Path, files: Iterable[Path]) -> None:
    """Raise an error if files that are to be written exist in a folder without a mark.

    They may be recordings, or another program's.

    Args:
        folder: the output folder.
        files: files in the folder, or below it.
    Raises:
        OverwriteError: names the first file that exists.
    """
    if is_output(folder):
        return
    for file in files:
        if os.path.lexists(file):
            raise OverwriteError(
                f"{file}: exists, and {folder} is not marked as a folder of this program's: it "
                "would be written over; choose another --out"
            )
