"""Measure what layers in bfloat16 do to what compiled code draws on this CPU.

Run from the repository, after ./run_teacher.sh --stop_stage 1:

    python docs/results/speed/rounding.py [--dump dump/allison] [--utterances 22] MODEL ...

MODEL is a folder of a teacher or a student. The utterances of the test split are drawn from the
same noise in float32 and in bfloat16. Of a student, whose samples follow the noise: the energy of
what is drawn over that of the difference. A teacher's samples soon go ways of their own; of these,
and of the recordings under autocast: the log-likelihood.
"""

import argparse
import math
import statistics
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from flows.engines.cpu.instructions.intrinsics import MULTIPLIES_PAIRS
from pipelines.evaluation.recordings import prepared_recordings
from pipelines.heldout import Utterance, teacher_nll
from pipelines.workspace import load_model
from student import Student
from teacher import Teacher

CPU = torch.device("cpu")


def draw(model: Teacher | Student, log_mel: Tensor, mixed: bool, engine: str) -> Tensor:
    """Draw from the noise of one seed."""
    with torch.autocast("cpu", torch.bfloat16, mixed):
        return model.sample(log_mel, generator=torch.Generator().manual_seed(0), engine=engine)


def decibels(signal: Tensor, other: Tensor) -> float:
    """Compare a signal's energy with that of the difference."""
    return 10 * math.log10(float(signal.square().sum() / (other - signal).square().sum()))


def of_student(student: Student, utterances: Iterable[Utterance]) -> dict[str, str]:
    """Compare what is drawn with what compiled code draws in float32."""
    ways = {"compiled, bfloat16": "compiled", "PyTorch, bfloat16": "torch"}
    found: dict[str, list[float]] = {way: [] for way in ways}
    for utterance in utterances:
        exact = draw(student, utterance.log_mel, False, "compiled")
        for way, engine in ways.items():
            rounded = draw(student, utterance.log_mel, True, engine)
            found[way].append(decibels(exact, rounded))
    return {
        f"{way}: dB, median and least": f"{statistics.median(ratios):.1f}, {min(ratios):.1f}"
        for way, ratios in found.items()
    }


def of_teacher(teacher: Teacher, utterances: list[Utterance]) -> dict[str, str]:
    """Compare log-likelihoods."""
    found = {}
    for name, mixed in (("float32", False), ("bfloat16", True)):
        drawn = [
            Utterance(u.name, draw(teacher, u.log_mel, mixed, "compiled"), u.log_mel)
            for u in utterances
        ]
        found[f"samples in {name}: nats per sample"] = f"{-teacher_nll(teacher, drawn):.5f}"
    found["recordings: nats per sample"] = f"{-teacher_nll(teacher, utterances):.5f}"
    with torch.autocast("cpu", torch.bfloat16):
        found["recordings, under autocast"] = f"{-teacher_nll(teacher, utterances):.5f}"
    return found


@torch.no_grad()
def main() -> None:
    """Print a line for every measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--dump", type=Path, default=Path("dump/allison"))
    parser.add_argument("--utterances", type=int, default=22)
    options = parser.parse_args()
    if not MULTIPLIES_PAIRS:
        parser.exit(1, "this processor does not multiply in bfloat16\n")
    recordings = prepared_recordings(options.dump, None, "test", options.utterances, CPU)
    for path in options.models:
        print(f"{path}, {len(recordings.utterances)} utterances of {recordings.source}")
        model = load_model(path, CPU)
        measure = of_teacher if isinstance(model, Teacher) else of_student
        for name, value in measure(model, recordings.utterances).items():
            print(f"  {name}: {value}", flush=True)


if __name__ == "__main__":
    main()
