"""The number of threads of a training process on a CPU."""

import os

import torch
from torch import nn

SMALL_PARAMETERS = 10_000_000
"""Largest number of parameters of a task that trains on one thread by default."""

THREADS_VARIABLE = "OMP_NUM_THREADS"


def settle_threads(task: nn.Module, device: torch.device) -> str | None:
    """Set one thread for a small task, unless the user has chosen the number of threads.

    The layers of a small network gain little from a second thread (18 %, measured on two idle
    cores). If another program runs, the threads wait for each other in every layer, and training is
    tens of times slower than on one thread. Several processes use several cores without this
    waiting, see docs/scaling.md.

    Args:
        task: the module that is trained.
        device: the device of the training.
    Returns:
        a sentence for the user, or None if the number of threads stays unchanged.
    """
    if device.type != "cpu" or THREADS_VARIABLE in os.environ or torch.get_num_threads() == 1:
        return None
    if sum(parameter.numel() for parameter in task.parameters()) > SMALL_PARAMETERS:
        return None
    torch.set_num_threads(1)
    return f"training on one thread; {THREADS_VARIABLE} asks for another number"
