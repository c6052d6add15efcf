"""Where `generate` writes: a folder, one file, or standard output."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from data import mark_output
from pipelines.generation.input_errors import InputError
from pipelines.generation.vocoder import STANDARD_OUTPUT
from storage.folder_lock import folder_lock

FileFormat = Literal["wav", "flac"]
_RAW = "raw"


@dataclass(frozen=True, kw_only=True)
class Destination:
    """The place where waveforms are written.

    Args:
        out: a folder, a file, or "-" for standard output.
        is_file: whether `out` is one file.
        is_stream: whether raw PCM is written.
        suffix: suffix of the files in a folder.
    """

    out: Path
    is_file: bool
    is_stream: bool
    suffix: str

    @property
    def is_folder(self) -> bool:
        """Whether every input gets a file in a folder."""
        return not self.is_file and self.out != STANDARD_OUTPUT

    def of(self, names: Mapping[Path, Path]) -> dict[Path, Path]:
        """Return the output file of each source.

        Args:
            names: relative name of each source's output, see `Sources`.
        """
        if self.is_folder:
            return {source: self.out / n.with_suffix(self.suffix) for source, n in names.items()}
        return dict.fromkeys(names, self.out)

    def check(self, has_many: bool) -> None:
        """Raise InputError if there may be several inputs, but not several outputs."""
        if has_many and not self.is_folder:
            which = "standard output" if self.out == STANDARD_OUTPUT else "a file"
            raise InputError(
                f"out is {self.out}: one input goes to {which}, and there may be several: expected "
                "a folder"
            )


def destination(out: Path, format: FileFormat | None, stream: bool) -> Destination:
    """Decide from `--out`, `--format` and `--stream` where waveforms are written.

    Args:
        out: "-" for standard output. A path that ends in .wav, .flac or .raw, and is not a folder,
            stands for one file; any other path stands for a folder.
        format: format of the files. None chooses the format of the file's suffix, and "wav" for a
            folder.
        stream: whether raw PCM is wanted; standard output and .raw files always get raw PCM.
    Raises:
        InputError: if the three contradict each other.
    """
    if out == STANDARD_OUTPUT:
        return Destination(out=out, is_file=False, is_stream=True, suffix=f".{_RAW}")
    ending = out.suffix.lower().removeprefix(".")
    is_file = ending in (*get_args(FileFormat), _RAW) and not out.is_dir()
    if is_file:
        if stream and ending != _RAW:
            raise InputError(f"out is {out} with stream, which is raw PCM: expected .{_RAW}")
        if format not in (None, ending):
            raise InputError(f"out is {out}, but format is {format}: expected .{format}")
        is_stream = ending == _RAW
        return Destination(out=out, is_file=True, is_stream=is_stream, suffix=out.suffix)
    if os.path.lexists(out) and not out.is_dir():  # a link to nothing, too
        raise InputError(
            f"out is {out}, which is no folder: expected a folder, a name that ends in .wav, .flac "
            "or .raw, or - for standard output"
        )
    suffix = _RAW if stream else format or "wav"
    return Destination(out=out, is_file=False, is_stream=stream, suffix=f".{suffix}")


class OutputFolder(ExitStack):
    """The output folder, which is made before the first file is written.

    So a run without any usable input leaves no folder.

    Args:
        path: the folder; None if the output is one file or a stream.
    """

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self._path = path

    def open(self) -> None:
        """Make, mark and lock the folder at the first call."""
        if self._path is not None:
            mark_output(self._path)
            self.enter_context(folder_lock(self._path))
            self._path = None
