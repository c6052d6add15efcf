"""Each system of a run in one line: quality, speed and size."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.model_folder import WEIGHTS_FILE
from pipelines.workspace import load_model

KEYS = ("distillmos", "pesq_wb", "estoi")
"""Keys of the measures that a line shows, as in `evaluation.json`."""

_ROWS = {
    "griffin-lim": ("griffin-lim, 32 iterations",),
    "world": ("world, analysis and synthesis",),
    "teacher": ("teacher, compiled", "teacher, graph", "teacher, cached"),
    "student": ("student", "student, PyTorch"),
}
"""Names of the benchmark's rows that can stand for a system, the preferred name first. The first
row that the benchmark has is used."""


@dataclass(frozen=True, kw_only=True)
class SystemLine:
    """Quality, speed and size of one system; unknown values are None or absent.

    Args:
        means: mean over the evaluated utterances, by measure of `KEYS`.
        real_time: seconds of audio drawn in one second, one utterance at a time.
        num_parameters: number of trained parameters.
    """

    means: dict[str, float]
    real_time: float | None
    num_parameters: int | None


def system_lines(
    evaluation: Mapping[str, Any] | None,
    benchmark: Mapping[str, Any] | None,
    num_parameters: Mapping[str, int],
) -> dict[str, SystemLine]:
    """Gather the lines of a run.

    Args:
        evaluation: content of `evaluation.json`, if there is one.
        benchmark: content of `benchmark.json`, if there is one.
        num_parameters: number of trained parameters by model; see `count_parameters`.
    Returns:
        lines by system; an unknown system has no line.
    """
    systems: dict[str, Any] = (evaluation or {}).get("systems", {})
    factors = {row["system"]: row["real_time_factor"] for row in (benchmark or {}).get("rows", [])}
    lines = {}
    for name in dict.fromkeys([*systems, *num_parameters]):
        found = systems.get(name, {})
        line = SystemLine(
            means={key: found[key]["mean"] for key in KEYS if key in found},
            real_time=next((factors[row] for row in _ROWS.get(name, ()) if row in factors), None),
            num_parameters=num_parameters.get(name),
        )
        if line.means or line.real_time is not None or line.num_parameters is not None:
            lines[name] = line
    return lines


def count_parameters(folder: Path) -> int | None:
    """Count a model's parameters; None if its weights are not there."""
    if not (folder / WEIGHTS_FILE).exists():
        return None
    return sum(parameter.numel() for parameter in load_model(folder).parameters())
