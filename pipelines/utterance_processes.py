"""The number of processes that work on utterances, each on one at a time."""

from __future__ import annotations

from typing import Literal

from data.prepared.parallel import choose_num_workers

UTTERANCES_PER_PROCESS = 8
"""Smallest number of utterances for each process. With fewer, a process takes longer to load its
models than it saves."""


def choose_processes(processes: int | Literal["auto"], device: str, num_utterances: int) -> int:
    """Return the number of processes, of one thread each, that share utterances.

    Args:
        processes: a number, or "auto". On a GPU, "auto" is one process. On a CPU, "auto" is the
            number of processors, but no more than one process for `UTTERANCES_PER_PROCESS`
            utterances.
        device: "cpu" or "cuda".
        num_utterances: number of utterances.
    Raises:
        ValueError: if the number is below 1, or above 1 on a GPU.
    """
    if processes == "auto":
        return choose_num_workers(num_utterances, UTTERANCES_PER_PROCESS) if device == "cpu" else 1
    if processes < 1 or (processes > 1 and device != "cpu"):
        raise ValueError(f"processes is {processes}, expected at least 1, and 1 on cuda")
    return min(processes, num_utterances)
