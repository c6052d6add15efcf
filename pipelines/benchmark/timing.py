"""How long a call takes, what it has asked a GPU for included."""

import time
from collections.abc import Callable

import torch


def seconds_of(draw: Callable[[], object], device: torch.device) -> float:
    """Time a call by the wall clock, between moments when the device has nothing left to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    draw()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
