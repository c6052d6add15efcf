"""Folders of audio that the program makes, told apart from folders of recordings."""

from __future__ import annotations

import os
from pathlib import Path

MARKER_FILE = ".made-by-parallel-wavenet"
_TEXT = """\
The files here are made by parallel-wavenet. A search for recordings that starts in a folder above
leaves them out, so that they are not taken for recordings. Delete this file to have them counted.
"""


def mark_output(folder: Path) -> None:
    """Mark a folder that is about to be filled, which is made if needed.

    A folder that holds anything already, hidden files apart, is left as it is: there may be
    recordings in it.

    Args:
        folder: where files are going to be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not any(not path.name.startswith(".") for path in folder.iterdir()):
        (folder / MARKER_FILE).write_text(_TEXT, encoding="utf-8")


def is_output(folder: Path) -> bool:
    """Tell whether a folder is marked; one that cannot be looked into is not."""
    return os.path.exists(folder / MARKER_FILE)
