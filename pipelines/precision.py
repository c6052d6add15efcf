"""Number types in training and sampling."""

from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
from lightning_fabric.plugins import MixedPrecision, Precision
from torch import nn

from flows.engines.cpu.intrinsics import MULTIPLIES_PAIRS

PrecisionName = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]


class FullInputs(MixedPrecision):
    """Mixed precision that does not round a module's inputs.

    Fabric's own mixed precision rounds inputs, too. In bfloat16, a waveform has 8 significant bits,
    and its silence becomes rounding noise. Autocast rounds only within the layers that gain speed.
    """

    def convert_input(self, data: Any) -> Any:
        """Return the inputs unchanged."""
        return data


def precision_plugin(name: PrecisionName, device: str) -> Precision:
    """Return Fabric's plugin for a number type.

    Args:
        name: "32-true"; "bf16-mixed" (networks in bfloat16); "16-mixed" (float16 with a scaled
            loss; on a CPU bfloat16, because CPUs do not compute in float16); or "auto", which means
            "bf16-mixed" if the device multiplies in bfloat16, else "32-true".
        device: "cpu", "cuda" or "auto".
    """
    is_cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    if name == "auto":
        has_bfloat16 = torch.cuda.is_bf16_supported() if is_cuda else MULTIPLIES_PAIRS
        name = "bf16-mixed" if has_bfloat16 else "32-true"
    if name == "32-true":
        return Precision()
    return FullInputs(name if is_cuda else "bf16-mixed", "cuda" if is_cuda else "cpu")


def networks_in(name: PrecisionName, model: nn.Module) -> AbstractContextManager[object]:
    """Return a context in which a model's networks use a number type, see `precision_plugin`."""
    return precision_plugin(name, next(model.parameters()).device.type).forward_context()
