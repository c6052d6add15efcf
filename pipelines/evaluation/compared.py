"""Models, recordings and systems of an evaluation, which each measuring process builds."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from data.prepared.parallel import parallel_map
from pipelines.evaluation.evaluated_models import Models, load_models
from pipelines.evaluation.measure import Measurer, Value
from pipelines.evaluation.recordings import Recordings, cut, prepared_recordings, recordings_in
from pipelines.evaluation.run import (
    SystemName,
    default_systems,
    make_systems,
    measure_utterance,
)
from pipelines.evaluation.systems import System

MEASURED_PER_PROCESS = 8
"""Smallest number of utterances to measure for each process. With fewer, a process takes longer to
load its models than it saves."""


class Built(NamedTuple):
    """The models, recordings and systems of an evaluation, and what measures them."""

    models: Models
    recordings: Recordings
    systems: dict[str, System]
    measurer: Measurer


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The arguments of an evaluation, see `pipelines.commands.evaluate`.

    Args:
        missing: packages that are not installed; their measures are left out.
    """

    teacher: Path | None
    students: tuple[Path, ...]
    dump: Path | None
    input: Path | None
    split: Literal["val", "test"]
    systems: tuple[SystemName, ...]
    limit: int | None
    every: int
    max_seconds: float | None
    speaker: str | None
    equalise: bool
    device: str
    missing: tuple[str, ...]

    def build(self) -> Built:
        """Load the models, read the recordings, and make the systems.

        Raises:
            ValueError: if an argument does not fit.
        """
        place = torch.device(self.device)
        models = load_models(self.teacher, self.students, place)
        if self.dump is not None:
            recordings = prepared_recordings(
                self.dump,
                models.mel,
                self.split,
                self.limit,
                place,
                models.speakers,
                models.pitch,
                self.every,
            )
        elif models.mel is not None and self.input is not None:
            recordings = recordings_in(
                self.input,
                models.mel,
                self.limit,
                place,
                models.speakers,
                self.speaker,
                models.pitch,
            )
        else:
            raise ValueError("--input needs a --teacher or a --student for its mel convention")
        if self.max_seconds is not None:
            utterances = recordings.utterances
            shorter = [cut(u, self.max_seconds, recordings.mel) for u in utterances]
            recordings = replace(recordings, utterances=shorter)
        wanted = list(self.systems) or default_systems(models)
        missing = list(self.missing)
        systems = make_systems(wanted, models, recordings.mel, missing, self.equalise)
        measurer = Measurer(recordings.mel, models.teacher, missing, place, models.frame_length)
        return Built(models, recordings, systems, measurer)


def measure_by_processes(
    comparison: Comparison, num_utterances: int, processes: int, seed: int, audio: Path | None
) -> Iterator[tuple[int, dict[str, dict[str, Value]]]]:
    """Measure utterances in processes of one thread each, see `measure_utterance`.

    Args:
        comparison: what each process builds.
        num_utterances: number of utterances.
        processes: number of processes, at least 2.
        seed: see `run_evaluation`.
        audio: see `run_evaluation`.
    Yields:
        each utterance's number and its systems' values, in the order in which they are done.
    Raises:
        DataError: if a process is killed.
    """
    measure = partial(_measured, comparison, seed, audio)
    yield from parallel_map(
        measure, range(num_utterances), processes, "run again with fewer --processes"
    )


@cache
def _built(comparison: Comparison) -> Built:
    """Build the comparison of this process, at the first call only."""
    return comparison.build()


def _measured(
    comparison: Comparison, seed: int, audio: Path | None, i: int
) -> tuple[int, dict[str, dict[str, Value]]]:
    _, recordings, systems, measurer = _built(comparison)
    return i, measure_utterance(systems, recordings, measurer, i, seed=seed, audio=audio)
