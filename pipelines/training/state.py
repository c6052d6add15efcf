"""The state of a training run: the content of a checkpoint, and the best model so far."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import Precision
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from flows import ArtefactError, Pretrained
from flows.pretrained import check_tensors
from pipelines.training.checkpoints import (
    FOLDER,
    Checkpoint,
    CheckpointError,
    list_checkpoints,
    newest_checkpoint,
    prune_checkpoints,
    read_checkpoint,
    step_of,
    write_checkpoint,
)
from storage.configuration import from_dict

OBSOLETE_STATE_FILE = "state.pt"


@dataclass
class Progress:
    """The progress of a run.

    Args:
        step: number of finished steps.
        best_score: lowest validation score so far.
        best_step: step of the best validation; 0 before the first validation.
        num_skipped: number of steps skipped because loss or gradient was not finite.
        num_skipped_in_row: number of skipped steps since the last step that was made.
        num_clipped: number of steps whose gradient was clipped.
    """

    step: int = 0
    best_score: float | None = None
    best_step: int = 0
    num_skipped: int = 0
    num_skipped_in_row: int = 0
    num_clipped: int = 0


class TrainingState:
    """Everything that the next step depends on, kept in a folder of checkpoints.

    A step's data and random numbers depend on (seed, step) alone, so no generator's state is kept.

    Args:
        trained: module whose trainable parameters the optimiser updates.
        modules: modules that checkpoints hold, by name: `model`, which is part of `trained`;
            `averaged`, its averaged copy; and others that are trained.
        optimizer: optimiser of the parameters of `trained`, in their order.
        precision: Fabric's plugin; it holds the loss scale under "16-mixed".
        folder: folder of the run.
        metadata: values that are stored with every checkpoint and with the model.
    """

    def __init__(
        self,
        trained: nn.Module,
        modules: Mapping[str, nn.Module],
        optimizer: torch.optim.Optimizer,
        precision: Precision,
        folder: Path,
        metadata: dict[str, Any],
    ) -> None:
        self.progress = Progress()
        self.folder = folder
        self.checkpoints = folder / FOLDER
        self._named = [(n, p) for n, p in trained.named_parameters() if p.requires_grad]
        self._modules = dict(modules)
        self._optimizer = optimizer
        self._precision = precision
        self._metadata = metadata

    @property
    def average(self) -> Pretrained:
        """The averaged model."""
        averaged = self._modules["averaged"]
        assert isinstance(averaged, AveragedModel)
        average = averaged.module
        assert isinstance(average, Pretrained)
        return average

    def save(self, num_kept: int) -> Path:
        """Write a checkpoint and delete old ones."""
        values = {
            "progress": dataclasses.asdict(self.progress),
            "precision": self._precision.state_dict(),
            "metadata": self._metadata,
        }
        checkpoint = Checkpoint(self.progress.step, dict(self._tensors()), values)
        path = write_checkpoint(self.checkpoints, checkpoint)
        prune_checkpoints(self.checkpoints, num_kept, self.progress.best_step)
        return path

    def find(self, say: Callable[[str], None]) -> Path | None:
        """Find the checkpoint to resume from; see `newest_checkpoint`.

        Raises:
            CheckpointError: also if there is no checkpoint, but a model that would be overwritten.
        """
        path = newest_checkpoint(self.checkpoints, say)
        for name in (OBSOLETE_STATE_FILE, "config.json"):
            if path is None and (self.folder / name).exists():
                raise CheckpointError(
                    f"{self.folder}: holds {name} but no checkpoint to resume from: choose another "
                    "folder, or remove it to train again"
                )
        return path

    def load(self, path: Path, say: Callable[[str], None]) -> None:
        """Load a checkpoint into the modules, the optimiser and `progress`, to continue a run.

        Args:
            path: a checkpoint, which `find` found.
            say: receives a warning about changed metadata, such as a value of the recipe.
        Raises:
            CheckpointError: if the file is damaged, or belongs to another model.
        """
        checkpoint = read_checkpoint(path)
        try:
            progress = from_dict(Progress, checkpoint.values.get("progress"), "progress")
            found = self.average.current_names(checkpoint.tensors)
            has_moments = any(name.startswith("optimizer/") for name in found)
            check_tensors(found, dict(self._expected(has_moments)))
            for part, module in self._modules.items():
                module.load_state_dict(_within(found, part))
            self._load_moments(_within(found, "optimizer"))
            self._precision.load_state_dict(checkpoint.values.get("precision", {}))
        except ValueError as error:
            raise CheckpointError(
                f"{path}: {error}; it may belong to another recipe: choose another --exp, or "
                f"remove {self.folder} to start again"
            ) from error
        self.progress = progress
        changes = list(differences(checkpoint.values.get("metadata"), self._metadata))
        if changes:
            say(f"warning: changed since {path.name}: {'; '.join(changes)}")

    def save_best(self) -> None:
        """Write the averaged model for use. Call it after `save`, at the best step."""
        self.average.save_pretrained(self.folder, self._described(self.progress.best_step))

    def restore_best(self, say: Callable[[str], None]) -> None:
        """Write the best model again, if its files are damaged or were never completed."""
        best_step = self.progress.best_step
        if not best_step or self._saved_step() == best_step:
            return
        for path in list_checkpoints(self.checkpoints):
            if step_of(path) == best_step:
                now = {name: t.clone() for name, t in self.average.state_dict().items()}
                found = self.average.current_names(read_checkpoint(path).tensors)
                tensors = _within(found, "averaged")
                self.average.load_state_dict(_within(tensors, "module", "."))
                self.save_best()
                self.average.load_state_dict(now)
                say(f"wrote the model of step {best_step} again from {path.name}")
                return
        say(f"warning: the best model, of step {best_step}, is lost: the next one counts as best")
        self.progress.best_score, self.progress.best_step = None, 0

    def _saved_step(self) -> int | None:
        try:
            return type(self.average).from_pretrained(self.folder).metadata.get("steps")
        except ArtefactError:
            return None

    def _described(self, step: int) -> dict[str, Any]:
        return self._metadata | {"steps": step}

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for part, module in self._modules.items():
            for name, tensor in module.state_dict().items():
                yield f"{part}/{name}", tensor
        for name, parameter in self._named:
            for key, tensor in self._optimizer.state.get(parameter, {}).items():
                yield f"optimizer/{name}/{key}", tensor

    def _expected(self, has_moments: bool) -> Iterator[tuple[str, Tensor]]:
        for part, module in self._modules.items():
            for name, tensor in module.state_dict().items():
                yield f"{part}/{name}", tensor
        for name, parameter in self._named if has_moments else ():
            yield f"optimizer/{name}/exp_avg", parameter
            yield f"optimizer/{name}/exp_avg_sq", parameter
            yield f"optimizer/{name}/step", torch.zeros(())

    def _load_moments(self, found: dict[str, Tensor]) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for i, (name, _) in enumerate(self._named):
            moments = _within(found, name)
            if moments:
                state[i] = moments
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": state, "param_groups": groups})


def differences(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """Yield a sentence for each value that differs between two trees of JSON values.

    >>> list(differences({"seed": 1, "size": {"width": 3}}, {"seed": 2, "size": {"width": 3}}))
    ['seed 1 -> 2']
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            yield from differences(
                old.get(name), new.get(name), f"{where}.{name}" if where else str(name)
            )
    elif _as_json(old) != _as_json(new):
        yield f"{where} {old!r} -> {new!r}"


def _as_json(value: Any) -> Any:
    return [_as_json(item) for item in value] if isinstance(value, list | tuple) else value


def _within(tensors: dict[str, Tensor], prefix: str, separator: str = "/") -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, and remove the prefix."""
    start = f"{prefix}{separator}"
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
