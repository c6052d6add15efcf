"""Number formats in training and in drawing."""

from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
from lightning_fabric.plugins import MixedPrecision, Precision
from torch import nn

from flows.engines.cpu.intrinsics import MULTIPLIES_PAIRS

PrecisionName = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]


class FullInputs(MixedPrecision):
    """Mixed precision that leaves a module's inputs as they are.

    Fabric's own rounds them, too: a waveform in bfloat16 has 8 significant bits, and rounding
    noise in the place of its silence. Autocast rounds inside each layer that gains from it.
    """

    def convert_input(self, data: Any) -> Any:
        """Return the inputs unchanged."""
        return data


def precision_plugin(name: PrecisionName, device: str) -> Precision:
    """Choose how numbers are held.

    Args:
        name: "32-true", "bf16-mixed" (networks in bfloat16), "16-mixed" (float16, with a scaled
            loss; bfloat16 where the device is a CPU, which has no use for float16), or "auto":
            "bf16-mixed" where the device multiplies in bfloat16, else "32-true".
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
    """Have a model's networks computed in a number format for a while; see `precision_plugin`."""
    return precision_plugin(name, next(model.parameters()).device.type).forward_context()
