"""Time the commands on a quiet machine and beside one and two busy processes, interleaved.

Run from the repository, on a machine where nothing else runs:

    python docs/results/speed/busy.py [--rounds 3] [--busy 0 1 2] [--jobs train-teacher evaluate ..]
        [--recipe allison] [--steps 100] [--out docs/results/speed/busy.json]

The jobs are the commands as a user runs them, with their loading, on speech-like sound made from a
seed. `--jobs` takes names or their beginnings: `--jobs train distill` measures training, by one
process and by two. A busy process counts, and never waits. Training is timed between the first and
the last logged step; other commands from start to end. The table is Markdown; the JSON holds all
measurements.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from data.corpora.synthetic import synthesise

TEACHER, STUDENT = "teacher-16k", "frame-16k"
CLIPS, CLIP_SECONDS = 4, 4.0
LOG_EVERY = 5  # steps
PARTS = {"train-teacher": "teacher", "distill": "student"}
"""What each command trains."""


@dataclass(frozen=True)
class Job:
    """A command that is timed: `run` returns its rate in `unit`."""

    unit: str
    run: Callable[[Path], float]


def parallel_wavenet(*words: object) -> None:
    """Run a command of the program; what it prints is shown only if it fails."""
    command = [sys.executable, "-m", "pipelines.cli", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")


def recipe_words(recipe: str) -> list[str]:
    """Return the options of a recipe on the synthetic corpus."""
    return ["--recipe", recipe, "--recipe.data.corpus", "synthetic"]


def training_rate(lines: Sequence[dict[str, Any]]) -> float:
    """Return the steps a second between the first and the last logged step.

    Args:
        lines: of `metrics.jsonl`, in order.
    """
    logged = [line for line in lines if line["part"] == "train"]
    first, last = logged[0], logged[-1]
    return float((last["step"] - first["step"]) / (last["seconds"] - first["seconds"]))


def train(command: str, recipe: str, steps: int, processes: int, work: Path) -> float:
    """Train for some steps without a validation; return the steps a second."""
    part = PARTS[command]
    with tempfile.TemporaryDirectory(dir=work) as exp:
        options = {"max_steps": steps, "log_every": LOG_EVERY, "validate_every": 10 * steps}
        words = recipe_words(recipe)
        for name, value in options.items():
            words += [f"--recipe.{part}_training.{name}", str(value)]
        if part == "student":
            words += ["--teacher", str(work / "exp" / "teacher")]
        words += ["--device", "cpu", "--processes", str(processes)]
        parallel_wavenet(command, *words, "--dump", work / "dump", "--exp", exp)
        text = (Path(exp) / part / "metrics.jsonl").read_text()
    return training_rate([json.loads(line) for line in text.splitlines()])


def whole(words: Sequence[object], amount: float, work: Path) -> float:
    """Run a command to its end; return the amount of its work a second."""
    with tempfile.TemporaryDirectory(dir=work) as out:
        start = time.monotonic()
        parallel_wavenet(*words, "--out", Path(out) / "made", "--device", "cpu")
        return amount / (time.monotonic() - start)


def jobs(recipe: str, steps: int, work: Path) -> dict[str, Job]:
    """List the jobs by name."""
    clips, audio = work / "clips", "s of audio/s"
    seconds = CLIPS * CLIP_SECONDS
    both = ["--teacher", TEACHER, "--student", STUDENT]
    evaluate = ["evaluate", *both, "--input", clips, "--systems", "[recording,teacher,student]"]
    benchmark = ["benchmark", *both, "--seconds", 0.5, "--naive_samples", 8, "--rounds", 1]
    generate = ["generate", "--input", clips, "--model"]
    training = {}
    for command, num_steps in (("train-teacher", 2 * steps), ("distill", steps)):
        for processes, name in ((1, command), (2, f"{command}, 2 processes")):
            training[name] = Job("steps/s", partial(train, command, recipe, num_steps, processes))
    return training | {
        "evaluate": Job(audio, partial(whole, evaluate, seconds)),
        "generate, teacher": Job(audio, partial(whole, [*generate, TEACHER], seconds)),
        "generate, student": Job(audio, partial(whole, [*generate, STUDENT], seconds)),
        "benchmark": Job("runs/s", partial(whole, benchmark, 1.0)),
    }


def set_up(recipe: str, work: Path, names: Collection[str]) -> None:
    """Make what the jobs need: recordings, prepared data, an untrained teacher, compiled code."""
    synthesise(work / "clips", num_utterances=CLIPS, seconds=CLIP_SECONDS)
    words = recipe_words(recipe)
    parallel_wavenet("prepare", *words, "--corpora", work / "corpora", "--dump", work / "dump")
    words += ["--recipe.teacher_training.max_steps", "1", "--device", "cpu"]
    parallel_wavenet("train-teacher", *words, "--dump", work / "dump", "--exp", work / "exp")
    if all(name.startswith(tuple(PARTS)) for name in names):
        return  # training draws no samples from the pretrained models
    one = work / "clips" / "clip_000.wav"
    for model in (TEACHER, STUDENT):
        parallel_wavenet("generate", "--model", model, "--input", one, "--out", work / model)


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Keep processes counting until the context is left."""
    command = [sys.executable, "-c", "i = 0\nwhile True: i += 1"]
    processes = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def table(result: dict[str, Any]) -> str:
    """Format the medians as a Markdown table, with the share of the quiet machine's rate."""
    counts = result["busy"]
    lines = [
        "| job | unit | " + " | ".join(f"{n} busy" if n else "quiet" for n in counts) + " |",
        "|---|---|" + "---:|" * len(counts),
    ]
    for name, job in result["jobs"].items():
        medians = [statistics.median(job["rates"][str(count)]) for count in counts]
        cells = [f"{rate:.3g}, {rate / medians[0]:.0%}" for rate in medians]
        lines.append(f"| {name} | {job['unit']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", nargs="+")
    parser.add_argument("--recipe", default="allison")
    parser.add_argument("--steps", type=int, default=100, help="of a student; a teacher makes two")
    parser.add_argument("--out", type=Path, default=Path("docs/results/speed/busy.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        known = jobs(options.recipe, options.steps, work)
        wanted = tuple(options.jobs or [""])
        for word in wanted:
            if not any(name.startswith(word) for name in known):
                parser.error(f"no job {word}; expected {'; '.join(known)}")
        chosen = {name: job for name, job in known.items() if name.startswith(wanted)}
        set_up(options.recipe, work, chosen)
        rates: dict[str, dict[str, list[float]]] = {
            name: {str(count): [] for count in options.busy} for name in chosen
        }
        for _ in range(options.rounds):
            for name, job in chosen.items():
                for count in options.busy:
                    with busy_processes(count):
                        rates[name][str(count)].append(job.run(work))
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    result = {
        "machine": platform.processor() or platform.machine(),
        "processors": processors or os.cpu_count(),
        "recipe": options.recipe,
        "rounds": options.rounds,
        "busy": options.busy,
        "jobs": {name: {"unit": job.unit, "rates": rates[name]} for name, job in chosen.items()},
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(table(result))


if __name__ == "__main__":
    main()
