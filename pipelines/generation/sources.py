"""What `generate` is given: files, folders, patterns and standard input, as files with names."""

from __future__ import annotations

import glob
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from data import MEL_SUFFIXES, search_audio
from pipelines.generation.input_errors import InputError
from pipelines.standard_streams import is_open

STANDARD_INPUT = Path("-")
_ARRAY_MAGIC = b"\x93NUMPY"
_ADDRESSES = ("http:", "https:", "ftp:", "s3:", "file:")  # the first part of a path


@dataclass(frozen=True)
class Sources:
    """What is to be vocoded.

    Args:
        names: by file, what its output is called, with the input's suffix: the path in the folder
            that was searched, or the file's own name.
        left_out: what a search left out, and why.
        has_many: whether there may be several; else an error of the only one is the command's.
        from_standard_input: the file that holds what standard input gave, if it was read.
    """

    names: dict[Path, Path]
    left_out: dict[str, str]
    has_many: bool
    from_standard_input: Path | None = None

    def in_words(self, message: str) -> str:
        """Say "standard input" in a message, in place of the file that holds it."""
        if self.from_standard_input is None:
            return message
        return message.replace(str(self.from_standard_input), "standard input")


@contextmanager
def open_sources(inputs: Sequence[Path]) -> Iterator[Sources]:
    """List what is to be vocoded; standard input is kept in a temporary file until the end.

    Args:
        inputs: audio files, saved log-mels (`data.MEL_SUFFIXES`), folders of either, patterns as
            "speech/*.wav" ("**" stands for any folders), or "-" for standard input: one audio file
            or `.npy` array.
    Returns:
        A context manager that yields the sources, in order.
    Raises:
        InputError: if there are none, one does not exist, or two would give files of one name.
    """
    if not inputs:
        raise InputError("no input, expected a file, a folder, a pattern or - for standard input")
    with tempfile.TemporaryDirectory(prefix="parallel-wavenet-") as place:
        names: dict[Path, Path] = {}
        left_out: dict[str, str] = {}
        has_many, spooled = len(inputs) > 1, None
        for given in inputs:
            if given == STANDARD_INPUT:
                spooled = spooled or _spool(Path(place))
                names[spooled] = Path(spooled.name)
                continue
            paths = _matching(given)
            has_many = has_many or paths != [given] or given.is_dir()
            for path in paths:
                if not path.is_dir():
                    names.setdefault(path, Path(path.name))
                    continue
                found = search_audio(path, MEL_SUFFIXES)
                if not found.files:
                    raise InputError(_nothing_in(path, found.left_out))
                before = "" if inputs == [path] else f"{path}/"
                left_out |= {f"{before}{name}": why for name, why in found.left_out.items()}
                for file in found.files:
                    names.setdefault(file, file.relative_to(path))
        _check_distinct(names)
        yield Sources(names, left_out, has_many, spooled)


def _matching(given: Path) -> list[Path]:
    """List what a pattern matches; a path that exists stands for itself, whatever its letters."""
    if given.exists():
        return [given]
    if given.parts[0] in _ADDRESSES:
        raise InputError(f"{given}: an address, expected a file or folder; download it first")
    if not glob.has_magic(str(given)):
        raise InputError(f"{given}: no such file or folder")
    # Brackets in the names of folders that exist are no pattern.
    folder = next((path for path in given.parents if path.exists()), Path())
    pattern = Path(glob.escape(str(folder))) / given.relative_to(folder)
    found = sorted(map(Path, glob.glob(str(pattern), recursive=True)))
    if not found:
        raise InputError(f"{given}: no file has a name of this pattern")
    return found


def _spool(folder: Path) -> Path:
    """Keep what standard input gives in a file; its suffix says whether it is audio or an array."""
    if not is_open(sys.stdin):
        raise InputError("input is -, but standard input is closed")
    stream = sys.stdin.buffer
    head = stream.read(len(_ARRAY_MAGIC))
    if not head:
        raise InputError("standard input: empty, expected audio or a log-mel .npy")
    # What kind of audio it is the content says; a decoder wants a suffix of some kind.
    path = folder / ("stdin.npy" if head == _ARRAY_MAGIC else "stdin.wav")
    with path.open("wb") as file:
        file.write(head)
        shutil.copyfileobj(stream, file)
    return path


def _nothing_in(folder: Path, left_out: dict[str, str]) -> str:
    hint = "".join(f" ({name}: {why})" for name, why in [*left_out.items()][:1])
    return f"{folder}: no audio file and no {', '.join(sorted(MEL_SUFFIXES))} in this folder{hint}"


def _check_distinct(names: dict[Path, Path]) -> None:
    """Refuse two files whose outputs would have one name."""
    by_name = sorted(names, key=lambda source: names[source].with_suffix(""))
    for first, second in pairwise(by_name):
        if names[first].with_suffix("") == names[second].with_suffix(""):
            raise InputError(f"{second}: would get the same name as {first}")
