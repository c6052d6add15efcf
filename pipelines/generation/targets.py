"""Where `generate` writes: a folder, one file, or standard output."""

from __future__ import annotations

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
    """Where waveforms go.

    Args:
        out: a folder, or a file, or "-".
        is_file: whether it is one file.
        is_stream: whether raw PCM is written.
        suffix: of the files of a folder.
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
        """Name each source's target; `names` has its relative name."""
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
    """Understand `--out`, `--format` and `--stream` together.

    Args:
        out: "-" for standard output; a path that ends in .wav, .flac or .raw and is no folder for
            one file; else a folder.
        format: of the files; None for that of the file's suffix, else "wav".
        stream: whether raw PCM is asked for, as it also is by "-" and by .raw.
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
    if out.exists() and not out.is_dir():
        raise InputError(
            f"out is {out}, which is no folder: expected a folder, a name that ends in .wav, .flac "
            "or .raw, or - for standard output"
        )
    suffix = _RAW if stream else format or "wav"
    return Destination(out=out, is_file=False, is_stream=stream, suffix=f".{suffix}")


class OutputFolder(ExitStack):
    """The output folder. It is made with the first file, so unusable inputs leave no folder.

    Args:
        path: the folder; None for a stream or a file, which needs neither.
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
