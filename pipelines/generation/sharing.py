"""Waveforms of many inputs, drawn one after the other or by several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Literal, NamedTuple

from data.prepared.parallel import choose_num_workers, parallel_map
from pipelines.generation.vocoder import Generated, Vocoder, VocoderOptions

DRAWN_PER_PROCESS = 100
"""Smallest number of inputs to draw for each process: a student draws many while one starts."""


class Job(NamedTuple):
    """An input, the name of its output, which seeds the noise, and the file to write."""

    source: Path
    name: Path
    target: Path


class Outcome(NamedTuple):
    """What became of an input: a written file, or why there is none."""

    source: Path
    result: Generated | ValueError | OSError


def choose_processes(
    processes: int | Literal["auto"], device: str, num_utterances: int, least: int
) -> int:
    """Return the number of processes, of one thread each, that share utterances.

    Args:
        processes: a number, or "auto". On a GPU, "auto" is one process. On a CPU, "auto" is the
            number of processors, but no more than one process for `least` utterances.
        device: "cpu" or "cuda".
        num_utterances: number of utterances.
        least: smallest number of utterances that is worth starting a process.
    Raises:
        ValueError: if the number is below 1, or above 1 on a GPU.
    """
    if processes == "auto":
        return choose_num_workers(num_utterances, least) if device == "cpu" else 1
    if processes < 1 or (processes > 1 and device != "cpu"):
        raise ValueError(f"processes is {processes}, expected at least 1, and 1 on cuda")
    return min(processes, num_utterances)


def vocode_all(
    vocoder: Vocoder, jobs: Sequence[Job], processes: int, before_writing: Callable[[], None]
) -> Iterator[Outcome]:
    """Draw and write the waveforms of inputs.

    Args:
        vocoder: the loaded model.
        jobs: the inputs.
        processes: number of processes of one thread each that draw all inputs after the first one;
            with 1, this process draws everything.
        before_writing: called before each file that this process writes.
    Yields:
        what became of each input, in the order in which they are done.
    Raises:
        DataError: if a process is killed.
    """
    waiting = iter(jobs)
    for job in waiting:
        outcome = _vocode(vocoder, job, before_writing)
        yield outcome
        # This process draws the first file, and thereby makes the folder and compiles what the
        # other processes then load.
        if processes > 1 and isinstance(outcome.result, Generated):
            break
    left = list(waiting)
    if len(left) == 1:
        yield _vocode(vocoder, left[0], before_writing)
    elif left:
        draw = partial(_vocode_here, vocoder.options)
        yield from parallel_map(draw, left, processes, "run again with fewer --processes")


def _vocode(vocoder: Vocoder, job: Job, before_writing: Callable[[], None]) -> Outcome:
    try:
        features = vocoder.features(job.source, job.name)
    except ValueError as error:
        return Outcome(job.source, error)
    before_writing()
    try:
        return Outcome(job.source, vocoder.write(job.source, features, job.name, job.target))
    except (ValueError, OSError) as error:
        return Outcome(job.source, error)


@cache
def _vocoder(options: VocoderOptions) -> Vocoder:
    """Load this process's model, at the first call only."""
    return Vocoder(options, shows_progress=False)


def _vocode_here(options: VocoderOptions, job: Job) -> Outcome:
    return _vocode(_vocoder(options), job, _nothing)


def _nothing() -> None:
    """Do nothing: the process that began has made the folder."""
