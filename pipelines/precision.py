"""Number types in training and sampling."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import nn

from flows.engines.cpu.instructions.intrinsics import MULTIPLIES_PAIRS

PrecisionName = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]


def resolved_precision(name: PrecisionName, device: str) -> tuple[PrecisionName, str]:
    """Return a number type and where it is used.

    Args:
        name: "32-true"; "bf16-mixed" (networks in bfloat16); "16-mixed" (float16 with a scaled
            loss; on a CPU bfloat16, because CPUs do not compute in float16); or "auto", which means
            "bf16-mixed" if the device multiplies in bfloat16, else "32-true".
        device: "cpu", "cuda" or "auto".
    Returns:
        a name, never "auto"; "cpu" or "cuda".
    """
    is_cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    if name == "auto":
        has_bfloat16 = torch.cuda.is_bf16_supported() if is_cuda else MULTIPLIES_PAIRS
        name = "bf16-mixed" if has_bfloat16 else "32-true"
    if name == "16-mixed" and not is_cuda:
        name = "bf16-mixed"
    return name, "cuda" if is_cuda else "cpu"


def networks_in(name: PrecisionName, model: nn.Module) -> AbstractContextManager[object]:
    """Return a context in which a model's networks use a number type.

    Args:
        name: see `resolved_precision`.
        model: a model on the device that computes.
    """
    chosen, device = resolved_precision(name, next(model.parameters()).device.type)
    if chosen == "32-true":
        return nullcontext()
    return torch.autocast(device, torch.bfloat16 if chosen == "bf16-mixed" else torch.float16)
