"""How many threads a training process uses on a CPU."""

import os

import torch
from torch import nn

SMALL_PARAMETERS = 10_000_000
"""Parameters of a task, at most, that train on one thread unless the user asks for more."""

THREADS_VARIABLE = "OMP_NUM_THREADS"


def settle_threads(task: nn.Module, device: torch.device) -> str | None:
    """Train a small task on one thread.

    A small network's layers gain little from a second thread (18 %, measured on two idle cores).
    Beside another program the threads wait for each other in every layer, and training is tens of
    times slower than on one thread. More processes use more cores without that: docs/scaling.md.

    Args:
        task: what is trained.
        device: where.
    Returns:
        what was settled, a sentence for the user; None where the threads stay as they are.
    """
    if device.type != "cpu" or THREADS_VARIABLE in os.environ or torch.get_num_threads() == 1:
        return None
    if sum(parameter.numel() for parameter in task.parameters()) > SMALL_PARAMETERS:
        return None
    torch.set_num_threads(1)
    return f"training on one thread; {THREADS_VARIABLE} asks for another number"
