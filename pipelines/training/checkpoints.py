"""Checkpoints: the whole state of a run, in files with a checksum."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from flows.model_folder import first_line
from storage.atomic import write_file
from storage.digests import sha256_of

FOLDER = "checkpoints"
FORMAT_VERSION = 1
_NAME = re.compile(r"step_(\d{8,})-([0-9a-f]{16})\.safetensors")
_VALUES = "values"


class CheckpointError(ValueError):
    """A checkpoint that is damaged or missing; the message names the file."""


@dataclass(frozen=True)
class Checkpoint:
    """A state of training.

    Args:
        step: number of finished steps.
        tensors: tensors by name.
        values: all other values by name, in types that JSON has.
    """

    step: int
    tensors: dict[str, Tensor]
    values: dict[str, Any]


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write `step_STEP-DIGEST.safetensors`, whole or not at all.

    DIGEST is the beginning of the content's SHA-256, by which damage is detected. Equal states give
    equal bytes.

    Args:
        folder: folder to write into; made if missing.
        checkpoint: the state to write.
    Returns:
        the path of the file.
    """
    tensors = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in sorted(checkpoint.tensors.items())
    }
    values = {"format": FORMAT_VERSION, "step": checkpoint.step, **checkpoint.values}
    # A single key, because safetensors writes several keys in no fixed order.
    content = save(tensors, {_VALUES: json.dumps(values, sort_keys=True, allow_nan=False)})
    digest = hashlib.sha256(content).hexdigest()[:16]
    path = folder / f"step_{checkpoint.step:08d}-{digest}.safetensors"
    write_file(path, content)
    return path


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and verify its checksum; nothing in the file is executed.

    Args:
        path: a file that `write_checkpoint` wrote.
    Returns:
        the state that was written, on the CPU.
    Raises:
        CheckpointError: if the file is missing, damaged or of another format.
    """
    name = _NAME.fullmatch(path.name)
    if name is None:
        raise CheckpointError(f"{path}: name is not step_STEP-DIGEST.safetensors")
    try:
        digest = sha256_of(path)
        if not digest.startswith(name[2]):
            raise CheckpointError(f"{path}: damaged, its sha256 begins with {digest[:16]}")
        with safe_open(path, "pt") as content:
            values = json.loads((content.metadata() or {}).get(_VALUES, ""))
            tensors = {key: content.get_tensor(key) for key in content.keys()}  # noqa: SIM118
    except (OSError, ValueError, RecursionError, SafetensorError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path}: cannot be read: {first_line(error)}") from error
    found = values.pop("format", None) if isinstance(values, dict) else None
    if found != FORMAT_VERSION or values.pop("step", None) != int(name[1]):
        raise CheckpointError(
            f"{path}: format is {found!r}, expected {FORMAT_VERSION} and the step of its name"
        )
    return Checkpoint(int(name[1]), tensors, values)


def list_checkpoints(folder: Path) -> list[Path]:
    """List a folder's checkpoints, damaged or not, newest first."""
    named = ((_NAME.fullmatch(path.name), path) for path in folder.glob("step_*.safetensors"))
    return [path for _, path in sorted(((int(m[1]), p) for m, p in named if m is not None))[::-1]]


def step_of(path: Path) -> int:
    """Read the step from a checkpoint's name."""
    name = _NAME.fullmatch(path.name)
    assert name is not None
    return int(name[1])


def newest_checkpoint(folder: Path, say: Callable[[str], None]) -> Path | None:
    """Find the newest undamaged checkpoint, and rename damaged ones that are newer.

    Args:
        folder: the folder of `write_checkpoint`.
        say: receives a warning about every damaged file, which gets the suffix `.damaged`.
    Returns:
        the path of the file, or None if the folder has no checkpoint.
    Raises:
        CheckpointError: if there are checkpoints, but all are damaged.
    """
    damaged: CheckpointError | None = None
    for path in list_checkpoints(folder):
        try:
            read_checkpoint(path)
        except CheckpointError as error:
            damaged = error
            say(f"warning: {error}; going back to the checkpoint before it")
            path.rename(path.with_name(f"{path.name}.damaged"))
        else:
            return path
    if damaged is not None:
        raise CheckpointError(
            f"{damaged}, and so is every other checkpoint: remove {folder} to start again"
        )
    return None


def prune_checkpoints(folder: Path, num_kept: int, best_step: int | None) -> None:
    """Delete all checkpoints but the newest few and the best step's.

    Args:
        folder: the folder of `write_checkpoint`.
        num_kept: number of newest checkpoints to keep.
        best_step: step of one more checkpoint to keep; None if there is no best step.
    """
    for path in list_checkpoints(folder)[num_kept:]:
        if step_of(path) != best_step:
            path.unlink(missing_ok=True)
