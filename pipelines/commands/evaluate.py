"""The command `evaluate`: measures of sound on held-out utterances."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeVar

from data import mark_output
from pipelines.evaluation.compared import MEASURED_PER_PROCESS, Comparison, measure_by_processes
from pipelines.evaluation.packages import missing_notice, missing_packages
from pipelines.evaluation.plot import evaluation_plot
from pipelines.evaluation.recordings import Recordings
from pipelines.evaluation.run import (
    SystemName,
    audio_file,
    run_evaluation,
)
from pipelines.evaluation.table import evaluation_table
from pipelines.generation.inputs import check_max_seconds
from pipelines.generation.sharing import choose_processes
from pipelines.workspace import pick_device
from storage.atomic import write_file
from storage.overwriting import refuse_overwriting

EVALUATION_FILE = "evaluation.json"
AUDIO_FOLDER = "audio"

T = TypeVar("T")


def evaluate(
    teacher: Path | None = None,
    student: list[Path] | Path | None = None,
    dump: Path | None = None,
    input: Path | None = None,
    split: Literal["val", "test"] = "test",
    systems: list[SystemName] | SystemName | None = None,
    limit: int | None = None,
    every: int = 1,
    max_seconds: float | None = None,
    seed: int = 0,
    out: Path | None = None,
    device: str = "auto",
    speaker: str | None = None,
    equalise: bool = True,
    processes: int | Literal["auto"] = 1,
) -> None:
    """Compare recordings, Griffin-Lim, WORLD, teacher and students on held-out utterances.

    Args:
        teacher: folder of a teacher; for every system's likelihood and the students' KL to the
            teacher.
        student: folder of a student; several as [A,B].
        dump: prepared data.
        input: a folder of audio files that took no part in training, instead of --dump.
        split: split of the prepared data, "val" or "test".
        systems: any of recording, griffin-lim, world, teacher, student, several as [A,B];
            default: all.
        limit: largest number of utterances, the first by name.
        every: use every N-th utterance by name, to have some of each joined corpus.
        max_seconds: largest length of an utterance; longer ones are cut.
        seed: seed of noise, phases and bootstrap.
        out: folder that gets evaluation.json, evaluation.md, evaluation.png and the audio of every
            system.
        device: "auto", "cpu" or "cuda".
        speaker: the speaker in --input, for models that know speakers.
        equalise: filter what the models draw so that its log-mel comes closer to the input's, as
            `generate` does.
        processes: number of utterances that are measured together, on one thread each; "auto" for
            one process on each processor, if there are enough utterances. Each process loads the
            models.
    """
    if (dump is None) == (input is None):
        given = "neither" if dump is None else "both"
        raise ValueError(f"expected either --dump or --input, got {given}")
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}, expected at least 1")
    if every < 1 or (every > 1 and dump is None):
        raise ValueError(f"every is {every}, expected at least 1, and 1 with --input")
    if seed < 0:
        raise ValueError(f"seed is {seed}, expected >= 0")
    check_max_seconds(max_seconds)
    comparison = Comparison(
        teacher=teacher,
        students=tuple(_listed(student)),
        dump=dump,
        input=input,
        split=split,
        systems=tuple(_listed(systems)),
        limit=limit,
        every=every,
        max_seconds=max_seconds,
        speaker=speaker,
        equalise=equalise,
        device=str(pick_device(device)),
        missing=tuple(missing_packages()),
    )
    built = comparison.build()
    models, recordings = built.models, built.recordings
    for name, reason in recordings.skipped.items():
        print(f"skipped: {name}: {reason}")
    count = len(recordings.utterances)
    chosen = choose_processes(processes, pick_device(device).type, count, MEASURED_PER_PROCESS)
    if out is not None:
        _claim(out, built.systems, recordings)
    audio = out / AUDIO_FOLDER if out else None
    measured = None
    if chosen > 1:
        measured = measure_by_processes(comparison, count, chosen, seed, audio)
    result = run_evaluation(
        built.systems, recordings, built.measurer, seed=seed, audio=audio, measured=measured
    )
    missing = list(comparison.missing)
    result |= {
        "max_seconds": max_seconds,
        "equalised": equalise,
        "models": {name: str(folder) for name, folder in models.folders.items()},
        "left_out": {"packages": missing, "files": recordings.skipped},
    }
    table = evaluation_table(result)
    print(table)
    if missing:
        print(missing_notice(missing))
    if out is not None:
        write_file(out / EVALUATION_FILE, json.dumps(result, indent=2) + "\n")
        write_file(out / "evaluation.md", table + "\n")
        write_file(out / "evaluation.png", evaluation_plot(result))


def _listed(value: list[T] | T | None) -> list[T]:
    """Return a list; a single value becomes a list of one, and None an empty list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _claim(out: Path, systems: Iterable[str], recordings: Recordings) -> None:
    """Make the folder, unless the evaluation would overwrite files that it reads."""
    audio = out / AUDIO_FOLDER
    names = [utterance.name for utterance in recordings.utterances]
    targets = [audio_file(audio, system, name) for system in systems for name in names]
    refuse_overwriting(recordings.files, targets)
    for folder in (out, audio):
        mark_output(folder)
