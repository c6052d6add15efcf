"""Errors about the inputs of generation, in a module that can be imported without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.generation.vocoder import Generated


class InputError(ValueError):
    """An input that cannot be vocoded; the message names the file and what is wrong."""


class InputsFailedError(InputError):
    """Some of several inputs cannot be used; the waveforms of all other inputs are written.

    Args:
        written: the files that were written.
        failed: the reason for each input that cannot be used.
        num_inputs: number of all inputs, usable or not.
    """

    def __init__(
        self, written: Sequence[Generated], failed: Mapping[Path, str], num_inputs: int
    ) -> None:
        names = ", ".join(path.name for path in failed)
        super().__init__(f"{len(failed)} of {num_inputs} inputs gave nothing: {names}")
        self.written = list(written)
        self.failed = dict(failed)
        self.num_inputs = num_inputs
