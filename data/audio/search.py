"""The search of a folder for recordings, with the reasons for what the search leaves out."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from data.audio.outputs import MARKER_FILE, is_output
from data.audio.read import AUDIO_SUFFIXES, AudioError

UNREAD_SUFFIXES = frozenset(
    [
        *(".ape", ".dff", ".dsf", ".gsm", ".m4p", ".mpc", ".pcm", ".ra", ".raw", ".rm", ".shn"),
        *(".snd", ".spx", ".tak", ".tta", ".voc", ".vox"),
        *(".avi", ".flv", ".mkv", ".mov", ".mpeg", ".mpg", ".wmv"),
    ]
)
"""Suffixes of files that hold sound, too, but cannot be read; a search names such files."""

SYSTEM_FOLDERS = frozenset(
    ["$recycle.bin", "recycler", "#recycle", "@eadir", "system volume information"]
)
"""Names, in lower case, of the folders in which Windows and Synology's disks keep deleted files and
files about files. Other systems' folders of this kind are hidden."""


@dataclass(frozen=True)
class Found:
    """The result of a search.

    Args:
        files: the recordings, sorted by their paths relative to the searched folder.
        left_out: reasons by path relative to the searched folder, for files and folders left out.
    """

    files: list[Path]
    left_out: dict[str, str]


def find_audio_files(root: Path) -> list[Path]:
    """List the audio files under a folder; see `search_audio`."""
    return search_audio(root).files


def search_audio(root: Path, other_suffixes: frozenset[str] = frozenset()) -> Found:
    """Search a folder and its subfolders for audio files, without hidden files and folders.

    Links are followed, and every folder is searched once, however many links lead to it. Folders of
    audio that this program made (`data.audio.outputs`) are left out, unless `root` itself is one.

    Args:
        root: the folder.
        other_suffixes: suffixes of further files to list, lower case, with the dot.
    Returns:
        paths under `root`, and the reasons of what was left out.
    Raises:
        AudioError: if `root` is not a folder or cannot be read.
    """
    root = Path(root)
    if not root.is_dir():
        raise AudioError(root, "not a folder" if root.exists() else "no such folder")
    wanted = AUDIO_SUFFIXES | other_suffixes
    files: list[Path] = []
    left_out: dict[str, str] = {}
    for path in _paths_under(root, left_out):
        suffix = path.suffix.lower()
        if suffix in wanted:
            files.append(path)
        elif suffix in UNREAD_SUFFIXES:
            left_out[_name(path, root)] = f"{suffix} files are not read"
        elif path.is_symlink() and not path.exists():
            left_out[_name(path, root)] = "a link to nothing"
    return Found(sorted(files, key=lambda path: _name(path, root)), dict(sorted(left_out.items())))


def _paths_under(root: Path, left_out: dict[str, str]) -> Iterator[Path]:
    """Yield the files under a folder, and note the folders that are left out."""
    above = {_identity(folder) for folder in root.resolve().parents}
    searched = {_identity(root)}
    # Links come last, so that a folder keeps its own name even if a link to it sorts before it.
    folders, links = deque([root]), deque[Path]()
    while folders or links:
        folder = folders.popleft() if folders else links.popleft()
        if folder.is_symlink() and folder != root:
            identity = _identity(folder)
            if identity in above:
                left_out[_name(folder, root)] = "a link to a folder that holds this one"
                continue
            if identity in searched:
                continue
            searched.add(identity)
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            if folder == root:
                raise AudioError(root, f"cannot be read: {error.strerror}") from error
            left_out[_name(folder, root)] = f"cannot be read: {error.strerror}"
            continue
        for path in (folder / name for name in names if not name.startswith(".")):
            if not path.is_dir():
                yield path
            elif path.name.lower() in SYSTEM_FOLDERS:
                left_out[_name(path, root)] = "a folder of the system, as for deleted files"
            elif is_output(path):
                left_out[_name(path, root)] = (
                    f"made by this program; delete its file {MARKER_FILE} to include it"
                )
            elif path.is_symlink():
                links.append(path)
            else:
                searched.add(_identity(path))
                folders.append(path)


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
