"""A model as a folder: `config.json` and `model.safetensors`, nothing pickled."""

import json
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from flows.atomic import atomic_write
from flows.weight_norm import fold_weight_norm, folded_state

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
FORMAT_VERSION = 1


class ArtefactError(ValueError):
    """A model folder that cannot be used; the message says which file and why."""


class Pretrained(nn.Module):
    """Adds saving and loading to a model that is built from a configuration.

    Subclasses set `kind` and implement `config_dict` and `from_config`. `metadata` travels with
    the weights: the mel convention, the recipe, versions and seed.
    """

    kind: str
    metadata: dict[str, Any]

    def config_dict(self) -> dict[str, Any]:
        """Return the configuration as plain JSON values."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build the model, weights not yet trained, from what `config_dict` returned."""
        raise NotImplementedError

    def save_pretrained(self, folder: str | Path, metadata: dict[str, Any] | None = None) -> None:
        """Write the model with weight norm folded; each file appears whole or not at all.

        Args:
            folder: where to write, created if needed.
            metadata: JSON values to store beside the configuration; default: `self.metadata`.
        """
        folder = Path(folder)
        described = {
            "format": FORMAT_VERSION,
            "kind": self.kind,
            "config": self.config_dict(),
            "metadata": self.metadata if metadata is None else metadata,
        }
        state = {name: tensor.contiguous().cpu() for name, tensor in folded_state(self).items()}
        with atomic_write(folder / WEIGHTS_FILE) as file:
            file.write(save(state))
        with atomic_write(folder / CONFIG_FILE) as file:
            file.write((json.dumps(described, indent=2, sort_keys=True) + "\n").encode())

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str | torch.device = "cpu") -> Self:
        """Load a model in eval mode with weight norm folded.

        Args:
            folder: a folder written by `save_pretrained`.
            device: where to put the weights.
        Raises:
            ArtefactError: if a file is missing, damaged, of another kind or does not fit.
        """
        folder = Path(folder)
        described = read_description(folder)
        if described["kind"] != cls.kind:
            raise ArtefactError(
                f"{folder / CONFIG_FILE}: kind is {described['kind']!r}, expected {cls.kind!r}"
            )
        try:
            model = cls.from_config(described["config"])
        except (TypeError, ValueError) as error:
            raise ArtefactError(f"{folder / CONFIG_FILE}: config: {error}") from error
        fold_weight_norm(model)
        weights = folder / WEIGHTS_FILE
        try:
            state = load_file(weights)
        except (OSError, SafetensorError) as error:
            raise ArtefactError(f"{weights}: cannot be read: {_first_line(error)}") from error
        expected = model.state_dict()
        for name in sorted(expected.keys() | state.keys()):
            found = tuple(state[name].shape) if name in state else "nothing"
            wanted = tuple(expected[name].shape) if name in expected else "nothing"
            if found != wanted:
                raise ArtefactError(f"{weights}: {name}: found {found}, expected {wanted}")
        model.load_state_dict(state)
        model.metadata = described["metadata"]
        return model.to(device).eval().requires_grad_(False)


def read_description(folder: Path) -> dict[str, Any]:
    """Read and check a model folder's `config.json`.

    Returns:
        a dict with keys format, kind, config and metadata.
    Raises:
        ArtefactError: if the file is missing, not JSON or lacks a key.
    """
    path = folder / CONFIG_FILE
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{path}: cannot be read: {_first_line(error)}") from error
    fields = {"format": int, "kind": str, "config": dict, "metadata": dict}
    for name, kind in fields.items():
        if not isinstance(described, dict) or not isinstance(described.get(name), kind):
            raise ArtefactError(f"{path}: {name} is missing or not of type {kind.__name__}")
    if described["format"] != FORMAT_VERSION:
        raise ArtefactError(
            f"{path}: format is {described['format']}, this version reads {FORMAT_VERSION}"
        )
    return described


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
