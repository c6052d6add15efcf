"""The values of the page's template: formatted numbers, and coordinates of curves."""

from typing import Any

import numpy as np
import yaml

from pipelines.benchmark.headline import at_their_best
from pipelines.evaluation.measure import MEASURES, Measure
from pipelines.evaluation.table import DIRECTIONS, LABELS, cell, describe_likelihood, measured
from pipelines.report import charts
from pipelines.report.content import Content, ListenedUtterance, Track
from pipelines.report.glance import KEYS

_BRIEF_NAMES = {
    "distillmos": "MOS",
    "pesq_wb": "PESQ",
    "mcd_db": "MCD",
    "log_mel_distance": "mel",
    "level_ratio": "level",
}
"""Short names of the measures that are shown beside a track, in order of preference."""
_NUM_BRIEF = 2


def view(content: Content) -> dict[str, Any]:
    """Return the template's values, not escaped; the template escapes them."""
    systems = list(dict.fromkeys(t.system for u in content.utterances for t in u.tracks))
    evaluated = list((content.evaluation or {"systems": {}})["systems"])
    named = list(dict.fromkeys([*systems, *evaluated, *content.lines]))
    utterances = [_utterance(u, content.mel.sample_rate) for u in content.utterances]
    return {
        "title": content.title,
        "labels": {name: LABELS.get(name, name) for name in named},
        "colours": {name: i for i, name in enumerate(named)},
        "utterances": utterances,
        "player": [
            {
                "name": utterance["name"],
                "seconds": utterance["seconds"],
                "systems": [track["system"] for track in utterance["tracks"]],
                "labels": [LABELS.get(t["system"], t["system"]) for t in utterance["tracks"]],
            }
            for utterance in utterances
        ],
        "sample_rate": content.mel.sample_rate,
        "evaluation": content.evaluation,
        "measures": _measures(content.evaluation),
        "lines": content.lines,
        "glanced": [measure for measure in MEASURES if measure.key in KEYS],
        "notice": content.notice,
        "benchmarks": content.benchmarks,
        "fastest": {run: _fastest(found) for run, found in content.benchmarks.items()},
        "likelihood": _likelihood(content.evaluation),
        "training": {name: _curves(lines) for name, lines in content.metrics.items() if lines},
        "recipes": {
            run: yaml.safe_dump(recipe, sort_keys=False, default_flow_style=None)
            for run, recipe in content.recipes.items()
        },
        "models": {
            name: {
                "steps": model["metadata"].get("steps"),
                "commit": model["metadata"].get("commit"),
                "corpus_checksum": model["metadata"].get("corpus_checksum"),
                "versions": model["metadata"].get("versions", {}),
            }
            for name, model in content.models.items()
        },
        "chart": charts,
    }


def _fastest(benchmark: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the fastest system of each kind of vocoder, with the length of its bar in per cent."""
    best = at_their_best(benchmark["rows"])
    lengths = charts.log_lengths([row["real_time_factor"] for row in best])
    return [{**row, "length": length} for row, length in zip(best, lengths, strict=True)]


def _utterance(utterance: ListenedUtterance, sample_rate: int) -> dict[str, Any]:
    longest = max(len(track.waveform) for track in utterance.tracks)
    peak = max(float(np.abs(track.waveform).max()) for track in utterance.tracks) or 1.0
    return {
        "name": utterance.name,
        "seconds": longest / sample_rate,
        "tracks": [
            {
                "system": track.system,
                "brief": _brief(track),
                "share": round(100 * len(track.waveform) / longest, 3),
                "outline": charts.outline(track.waveform, longest, peak),
            }
            for track in utterance.tracks
        ],
    }


def _brief(track: Track) -> list[str]:
    digits = {measure.key: measure.digits for measure in MEASURES}
    found = [key for key in _BRIEF_NAMES if key in track.measures][:_NUM_BRIEF]
    return [f"{_BRIEF_NAMES[key]} {track.measures[key]:.{digits[key]}f}" for key in found]


def _measures(evaluation: dict[str, Any] | None) -> list[dict[str, Any]]:
    if evaluation is None:
        return []
    systems = evaluation["systems"]
    rows = []
    for measure in measured(systems):
        found = {
            name: means[measure.key] for name, means in systems.items() if measure.key in means
        }
        rows.append(
            {
                "label": measure.label,
                "unit": measure.unit,
                "direction": DIRECTIONS.get(measure.better, ""),
                "cells": {name: _cell(measure, interval) for name, interval in found.items()},
                "positions": charts.positions(found),
            }
        )
    return rows


def _cell(measure: Measure, interval: dict[str, float]) -> tuple[str, str]:
    """Return mean and interval as text; the interval is empty if it has no width."""
    mean, _, rest = cell(measure, interval).replace("-", charts.MINUS).partition(" ")
    return mean, rest


def _likelihood(evaluation: dict[str, Any] | None) -> list[tuple[str, float, float]]:
    found = (evaluation or {}).get("likelihood")
    if found is None:
        return []
    return [(describe_likelihood(k), nats, found["bits"][k]) for k, nats in found["nats"].items()]


def _curves(lines: list[dict[str, Any]]) -> list[charts.LineChart]:
    """Make one chart for each scalar, with training and validation together."""
    series: dict[str, dict[str, list[charts.Point]]] = {}
    for line in lines:
        for name, value in line.items():
            if name in ("step", "part", "seconds", "score") or not isinstance(value, int | float):
                continue
            curves = series.setdefault(name, {})
            curves.setdefault(line["part"], []).append((line["step"], value))
    return [charts.line_chart(name.replace("_", " "), curves) for name, curves in series.items()]
