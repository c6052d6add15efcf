"""The content of a listening page, gathered from the results of a run."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from data import MelConfig
from flows.model_folder import CONFIG_FILE
from flows.pretrained import read_description
from pipelines.commands.evaluate import AUDIO_FOLDER, EVALUATION_FILE
from pipelines.report.glance import SystemLine, count_parameters, system_lines
from pipelines.report.results import BENCHMARK_FIELDS, EVALUATION_FIELDS, read_results
from pipelines.training.log import METRICS_FILE
from storage.configuration import from_dict

SYSTEM_ORDER = ("recording", "griffin-lim", "world", "teacher", "student")
"""Order of the systems on the page; other systems follow by name."""
MIN_SECONDS = 1.0


class ReportError(ValueError):
    """A run without results to show; the message says what is missing."""


@dataclass(frozen=True, kw_only=True)
class Track:
    """One system's waveform for an utterance.

    Args:
        system: the system's name.
        waveform: shape (T,).
        measures: the utterance's measures by key; empty if it was not evaluated.
    """

    system: str
    waveform: npt.NDArray[np.float32]
    measures: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class ListenedUtterance:
    """An utterance with the waveforms of all systems.

    Args:
        name: the utterance's name, which may hold any character of a file name.
        tracks: the waveforms, in the order of `SYSTEM_ORDER`; some may be shorter than the
            recording.
    """

    name: str
    tracks: list[Track]


@dataclass(frozen=True, kw_only=True)
class Content:
    """Everything on the page; missing results are None or empty.

    Args:
        title: title of the page.
        mel: convention of the pictures.
        utterances: the utterances that can be played.
        evaluation: content of `evaluation.json`.
        benchmarks: content of `benchmark.json` by run.
        metrics: lines of `metrics.jsonl` by model.
        models: content of `config.json` by model.
        recipes: values of the recipe by run.
        lines: quality, speed and size by system.
        notice: advice on comparing the systems, shown on the page; empty for no advice.
    """

    title: str
    mel: MelConfig
    utterances: list[ListenedUtterance]
    evaluation: dict[str, Any] | None = None
    benchmarks: dict[str, dict[str, Any]] = field(default_factory=dict)
    metrics: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    recipes: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: dict[str, SystemLine] = field(default_factory=dict)
    notice: str = ""


def collect(exp: Path, limit: int = 8) -> Content:
    """Gather a run's results.

    Args:
        exp: folder of the results of `run_distill.sh`. If `evaluation/audio` and `samples` both
            hold a system's waveform for an utterance, the one in `evaluation/audio` counts.
        limit: largest number of utterances, the first by name. Utterances under one second are
            shown only if there are none of one second or more.
    Raises:
        ReportError: if the limit is below 1, if there is no model or no audio, or if a file cannot
            be read.
        ResultsError: if a file of results cannot be used.
    """
    if limit < 1:
        raise ReportError(f"limit is {limit}, expected at least 1")
    models = {
        name: read_description(exp / name)
        for name in ("teacher", "student")
        if (exp / name / CONFIG_FILE).exists()
    }
    if not models:
        raise ReportError(f"{exp}: holds no teacher/{CONFIG_FILE} and no student/{CONFIG_FILE}")
    evaluation = _results(exp / "evaluation" / EVALUATION_FILE, EVALUATION_FIELDS)
    newest = models.get("student") or models["teacher"]
    mel = from_dict(MelConfig, newest["metadata"].get("mel"), f"{exp}: metadata.mel")
    title = exp.resolve().name
    benchmark = _results(exp / "benchmark.json", BENCHMARK_FIELDS)
    counts = {name: count_parameters(exp / name) for name in models}
    return Content(
        title=title,
        mel=mel,
        utterances=_utterances(exp, evaluation, mel.sample_rate, limit),
        evaluation=evaluation,
        benchmarks={} if benchmark is None else {title: benchmark},
        metrics={name: _read_lines(exp / name / METRICS_FILE) for name in models},
        models=models,
        recipes={title: newest["metadata"].get("recipe", {})},
        lines=system_lines(
            evaluation, benchmark, {name: n for name, n in counts.items() if n is not None}
        ),
    )


def _utterances(
    exp: Path, evaluation: dict[str, Any] | None, sample_rate: int, limit: int
) -> list[ListenedUtterance]:
    measures = {u["name"]: u["systems"] for u in (evaluation or {"utterances": []})["utterances"]}
    evaluated = _audio_files(exp / "evaluation" / AUDIO_FOLDER)
    if evaluation is not None:  # files of an earlier evaluation may lie there, too
        evaluated = {
            (system, name): path
            for (system, name), path in evaluated.items()
            if name in measures and system in evaluation["systems"]
        }
    files = _audio_files(exp / "samples") | evaluated
    found: list[ListenedUtterance] = []
    shorter: list[ListenedUtterance] = []
    for name in sorted({name for _, name in files}):
        if len(found) == limit:
            break
        systems = in_order(system for system, utterance in files if utterance == name)
        tracks = [
            Track(
                system=system,
                waveform=_read_audio(files[system, name], sample_rate),
                measures=measures.get(name, {}).get(system, {}),
            )
            for system in systems
        ]
        is_long = max(len(track.waveform) for track in tracks) >= MIN_SECONDS * sample_rate
        (found if is_long else shorter).append(ListenedUtterance(name=name, tracks=tracks))
    if not found and not shorter:
        raise ReportError(
            f"{exp}: no audio in evaluation/{AUDIO_FOLDER} or samples; run evaluate with --out "
            f"{exp / 'evaluation'}"
        )
    return found or shorter[:limit]


def _audio_files(folder: Path) -> dict[tuple[str, str], Path]:
    """Find files by system (name of a subfolder) and utterance (path in it, without suffix)."""
    files: dict[tuple[str, str], Path] = {}
    for path in sorted(folder.glob("*/**/*.wav")):
        system, *rest = path.relative_to(folder).with_suffix("").parts
        files[system, "/".join(rest)] = path
    return files


def _read_audio(path: Path, sample_rate: int) -> npt.NDArray[np.float32]:
    """Read a file that this program wrote; it may be silent, unlike a corpus's file."""
    try:
        waveform, found = soundfile.read(os.fsencode(path), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ReportError(f"{path}: cannot be read: {error.error_string}") from error
    if found != sample_rate or waveform.size == 0:
        raise ReportError(
            f"{path}: {len(waveform)} samples at {found} Hz, expected some at {sample_rate} Hz"
        )
    return waveform[:, 0]


def in_order(systems: Iterable[str]) -> list[str]:
    """Sort systems into the order of the page.

    Args:
        systems: names as in `SYSTEM_ORDER`, or "SYSTEM (RUN)" if there are several runs; these are
            sorted by system, then by run.
    """
    names = {name: i for i, name in enumerate(SYSTEM_ORDER)}
    return sorted(systems, key=lambda s: (names.get(s.partition(" (")[0], len(names)), s))


def _results(path: Path, fields: dict[str, type]) -> dict[str, Any] | None:
    return read_results(path, fields) if path.exists() else None


def _read_lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise ReportError(f"{path}: cannot be read: {error}") from error
