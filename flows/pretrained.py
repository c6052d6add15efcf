"""Model folders: `config.json`, `model.safetensors` and a card, without pickles."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from flows.model_card import write_card
from flows.model_folder import (
    CARD_FILE,
    CONFIG_FILE,
    WEIGHTS_FILE,
    ArtefactError,
    first_line,
    model_folder,
)
from flows.networks.weight_norm import fold_weight_norm, folded_state
from storage.atomic import write_file

FORMAT_VERSION = 1


class Pretrained(nn.Module):
    """Base class of models that are built from a configuration: it saves and loads them.

    Subclasses set `kind` and implement `config_dict` and `from_config`. `metadata` is saved with
    the weights: the mel convention, the recipe, versions and the seed.
    """

    kind: str
    metadata: dict[str, Any]

    def config_dict(self) -> dict[str, Any]:
        """Return the configuration as plain JSON values."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build the untrained model from a configuration of `config_dict`."""
        raise NotImplementedError

    @classmethod
    def current_names(cls, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Rename tensors of a model folder or a checkpoint that an earlier version named otherwise.

        A model whose tensors have changed their names overrides this method.
        """
        return tensors

    def save_pretrained(self, folder: str | Path, metadata: dict[str, Any] | None = None) -> None:
        """Write the model with weight norm folded; each file appears whole or not at all.

        The folder has the form of model hubs: `config.json`, `model.safetensors` and the card
        `README.md`. A card that somebody else wrote or edited is kept.

        Args:
            folder: the folder to write, created if it is missing.
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
        weights = save(state)
        # Two files cannot be replaced at one instant. The digest tells whether both belong to one
        # model.
        described["weights_sha256"] = hashlib.sha256(weights).hexdigest()
        write_file(folder / WEIGHTS_FILE, weights)
        write_file(folder / CONFIG_FILE, json.dumps(described, indent=2, sort_keys=True) + "\n")
        buffers = {name for name, _ in self.named_buffers()}
        parameters = sum(state[name].numel() for name in state.keys() - buffers)
        write_card(folder / CARD_FILE, type(self), described, parameters)

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        device: str | torch.device = "cpu",
        *,
        revision: str | None = None,
    ) -> Self:
        """Load a model in eval mode with weight norm folded.

        Args:
            model: a folder written by `save_pretrained`, the name of a model that comes with the
                project ("frame-16k"), or owner/name on a hub; see `model_folder`.
            device: device of the weights.
            revision: branch, tag or commit on the hub.
        Raises:
            ArtefactError: if a file is missing, damaged, of another kind or does not fit.
        """
        folder = model_folder(model, revision)
        described = read_description(folder)
        if described["kind"] != cls.kind:
            raise ArtefactError(
                f"{folder / CONFIG_FILE}: kind is {described['kind']!r}, expected {cls.kind!r}"
            )
        state = cls.current_names(_read_weights(folder, described))
        try:
            # Weight norm registers a weight twice, with a magnitude: allow four times the weights.
            with _parameters_at_most(4 * sum(tensor.numel() + 1 for tensor in state.values())):
                network = cls.from_config(described["config"])
        except (TypeError, ValueError, RuntimeError, OverflowError, MemoryError) as error:
            reason = first_line(error)
            raise ArtefactError(f"{folder / CONFIG_FILE}: config: {reason}") from error
        fold_weight_norm(network)
        try:
            check_tensors(state, network.state_dict())
        except ValueError as error:
            raise ArtefactError(f"{folder / WEIGHTS_FILE}: {error}") from error
        network.load_state_dict(state)
        network.metadata = described["metadata"]
        return network.to(device).eval().requires_grad_(False)


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
    except (OSError, ValueError, RecursionError) as error:
        raise ArtefactError(f"{path}: cannot be read: {first_line(error)}") from error
    fields = {"format": int, "kind": str, "config": dict, "metadata": dict}
    for name, kind in fields.items():
        if not isinstance(described, dict) or not isinstance(described.get(name), kind):
            raise ArtefactError(f"{path}: {name} is missing or not of type {kind.__name__}")
    if described["format"] != FORMAT_VERSION:
        raise ArtefactError(
            f"{path}: format is {described['format']}, this version reads {FORMAT_VERSION}"
        )
    return described


def check_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuse tensors whose names, shapes or dtypes differ from the expected tensors'.

    Raises:
        ValueError: names the first tensor that is missing, unknown or different.
    """
    for name in sorted(expected.keys() | found.keys()):
        given, wanted = (_describe_tensor(tensors.get(name)) for tensors in (found, expected))
        if given != wanted:
            raise ValueError(f"{name}: found {given}, expected {wanted}")


def _describe_tensor(tensor: Tensor | None) -> str:
    if tensor is None:
        return "nothing"
    return f"{tuple(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')}"


def _read_weights(folder: Path, described: dict[str, Any]) -> dict[str, Tensor]:
    """Read a model's weights, and check them against the digest in its description, if any."""
    path = folder / WEIGHTS_FILE
    try:
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        recorded = described.get("weights_sha256", digest)
        if digest != recorded:
            raise ValueError(
                f"sha256 is {digest[:16]}..., expected {str(recorded)[:16]}... as {CONFIG_FILE} "
                "says: damaged, or of another model"
            )
        return load(content)
    except (OSError, ValueError, SafetensorError) as error:
        raise ArtefactError(f"{path}: cannot be read: {first_line(error)}") from error


@contextmanager
def _parameters_at_most(num_values: int) -> Iterator[None]:
    """Raise ValueError while a model is being built, once it has more than `num_values` parameters.

    A few digits in a configuration can ask for any amount of memory and time.
    """
    left = num_values

    def count(module: nn.Module, name: str, parameter: Tensor | None) -> None:
        nonlocal left
        left -= 1 + (0 if parameter is None else parameter.numel())
        if left < 0:
            raise ValueError("describes a larger model than the weights are of")

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()
