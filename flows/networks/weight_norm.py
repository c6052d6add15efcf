"""Weight normalisation for training, folded into plain weights for inference."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize


def normalised_conv(
    in_channels: int, out_channels: int, kernel_size: int, **options: Any
) -> nn.Conv1d:
    """Build a 1-D convolution with weight norm and Kaiming initialisation.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: number of taps.
        options: further arguments of `torch.nn.Conv1d`.
    References:
        Weight normalization (Salimans & Kingma, 2016). arXiv:1602.07868
    """
    conv = nn.Conv1d(in_channels, out_channels, kernel_size, **options)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    parametrizations.weight_norm(conv)
    return conv


def fold_weight_norm(module: nn.Module) -> nn.Module:
    """Replace every normalised weight by its value, in place; the module's function stays."""
    for layer in module.modules():
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight")
    return module


def folded_state(module: nn.Module) -> dict[str, Tensor]:
    """Return the state dict that the module would have after folding; the module is not changed."""
    state = {}
    for name, tensor in module.state_dict().items():
        if ".parametrizations.weight." not in f".{name}":
            state[name] = tensor.detach()
    for name, layer in module.named_modules():
        if parametrize.is_parametrized(layer, "weight"):
            with torch.no_grad():
                state[f"{name}.weight" if name else "weight"] = layer.weight.detach().clone()
    return state


def load_folded_state(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a state dict of `folded_state`, in place, into a normalised or a folded module.

    Args:
        module: the module to load into; its parametrisations stay.
        state: a tensor for every parameter and buffer of the folded module.
    Raises:
        ValueError: if a name or a shape differs.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in folded_state(module).items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise ValueError(
                f"{name}: found {found.get(name, 'nothing')}, "
                f"expected {expected.get(name, 'nothing')}"
            )
    with torch.no_grad():
        for name, value in state.items():
            owner, _, attribute = name.rpartition(".")
            layer = module.get_submodule(owner)
            current = getattr(layer, attribute)
            if parametrize.is_parametrized(layer, attribute):
                # Assigning to a normalised weight sets its magnitude and direction from the value,
                # and keeps the value's memory.
                setattr(layer, attribute, value.to(current, copy=True))
                # A weight of 0 has no direction: give it any one, because 0 / 0 is not a number.
                direction = layer.get_parameter(f"parametrizations.{attribute}.original1")
                direction[direction.flatten(1).norm(dim=1) == 0] = 1.0
            else:
                current.copy_(value)
