"""The time of a call, with the GPU's work that it started."""

import time
from collections.abc import Callable

import torch


def seconds_of(draw: Callable[[], object], device: torch.device) -> float:
    """Time a call by the wall clock; a GPU's queue is empty before and after."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    draw()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
