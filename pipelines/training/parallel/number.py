"""The number of processes of a training run that a command starts by itself."""

from typing import Literal

from data import MelConfig
from pipelines.ranks import world_size
from pipelines.recipe import TrainingConfig
from storage.processors import num_processors

SECONDS_WORTH_PROCESSES = 600.0
"""Seconds of audio in all steps of a run below which processes take longer to start than they
save."""


def number_of_processes(
    processes: int | Literal["auto"], config: TrainingConfig, mel: MelConfig, device: str
) -> int:
    """Return the number of processes that share the batches of a run.

    Args:
        processes: a number; or "auto": as many as there are processors and as divide the batch, but
            one on a GPU, for a short run, and for a process that a launcher has started.
        config: number of steps and size of a batch.
        mel: length of a frame.
        device: "cpu" or "cuda".
    Raises:
        ValueError: if the number is above 1 on a GPU or for a process that a launcher has started,
            or does not divide the batch.
    """
    batch, launched = config.batch_size, world_size()
    if processes == "auto":
        audio = config.max_steps * batch * config.segment_frames * mel.hop_length / mel.sample_rate
        if device != "cpu" or launched > 1 or audio < SECONDS_WORTH_PROCESSES:
            return 1
        return max(n for n in range(1, num_processors() + 1) if batch % n == 0)
    if processes > 1 and launched > 1:
        raise ValueError(
            f"processes is {processes}, expected 1: a launcher has started {launched} already"
        )
    if processes > 1 and device != "cpu":
        raise ValueError(
            f"processes is {processes}, expected 1 on {device}: a launcher starts several, see "
            "docs/scaling.md"
        )
    if processes < 1 or batch % processes:
        divisors = ", ".join(str(n) for n in range(1, batch + 1) if batch % n == 0)
        raise ValueError(
            f"processes is {processes}, expected a divisor of batch_size {batch}: {divisors}"
        )
    return processes
