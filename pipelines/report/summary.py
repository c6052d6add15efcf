"""The summary of a finished run, on one page."""

import json
from pathlib import Path
from typing import Any

from pipelines.benchmark.comparison import benchmark_table
from pipelines.commands.evaluate import EVALUATION_FILE
from pipelines.evaluation import evaluation_table
from pipelines.report.page import INDEX_FILE


class SummaryError(ValueError):
    """A result of the summary that is missing or unreadable."""


def summary_of(exp: Path) -> str:
    """Write the summary of a run in Markdown.

    Args:
        exp: folder of the results of `run_distill.sh`: `evaluation/`, `benchmark.json` and
            `samples/`. If there is a listening page, the summary names it.
    Raises:
        SummaryError: if a result is missing; the message names the file.
    """
    sections = [
        f"# {exp}",
        "## Held-out utterances",
        evaluation_table(_read(exp / "evaluation" / EVALUATION_FILE)),
        "## Sampling speed",
        benchmark_table(_read(exp / "benchmark.json")),
        "## Listen",
    ]
    folders = ("recording", "student", "teacher")
    listed = {name: sorted((exp / "samples" / name).rglob("*.wav")) for name in folders}
    lines = [f"* {name}: {path}" for name, paths in listed.items() for path in paths]
    page = exp / "report" / INDEX_FILE
    if page.exists():
        lines.insert(0, f"* side by side, switching in place: {page}")
    sections += ["\n".join(lines), f"Curves: tensorboard --logdir {exp}"]
    return "\n\n".join(sections) + "\n"


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SummaryError(f"{path}: cannot be read: {error}") from error
