"""The inputs of `generate`: files, folders, patterns and standard input, listed as named files."""

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
    """The files that are to be vocoded.

    Args:
        names: name of each file's output, by file, with the file's suffix. The name is the path
            relative to the searched folder, or else the file's own name.
        left_out: reason for each file or folder that a search left out.
        has_many: whether the inputs may stand for several files. If not, an error about the only
            file ends the command.
        from_standard_input: the temporary file with the content of standard input, if it was read.
    """

    names: dict[Path, Path]
    left_out: dict[str, str]
    has_many: bool
    from_standard_input: Path | None = None

    def in_words(self, message: str) -> str:
        """Replace the name of standard input's temporary file in a message by "standard input"."""
        if self.from_standard_input is None:
            return message
        return message.replace(str(self.from_standard_input), "standard input")


@contextmanager
def open_sources(inputs: Sequence[Path]) -> Iterator[Sources]:
    """List the files to be vocoded; a temporary file holds standard input until the block ends.

    Args:
        inputs: audio files, saved log-mels (`data.MEL_SUFFIXES`), folders of either, patterns as
            "speech/*.wav" ("**" stands for any folders), or "-" for standard input: one audio file
            or `.npy` array.
    Returns:
        a context manager that yields the sources, in the order of the inputs.
    Raises:
        InputError: if there are no inputs, if an input does not exist, or if the outputs of two
            files would have one name.
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
    """List the files that a pattern matches; a path that exists is never taken for a pattern."""
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
    """Copy standard input to a file, whose suffix says whether the content is audio or an array."""
    if not is_open(sys.stdin):
        raise InputError("input is -, but standard input is closed")
    stream = sys.stdin.buffer
    head = stream.read(len(_ARRAY_MAGIC))
    if not head:
        raise InputError("standard input: empty, expected audio or a log-mel .npy")
    # The content decides the kind of audio, but a decoder needs the suffix of an audio file.
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
