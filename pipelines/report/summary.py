"""The summary of a finished run, on one page."""

from pathlib import Path

from pipelines.benchmark.comparison import benchmark_table
from pipelines.commands.evaluate import EVALUATION_FILE
from pipelines.evaluation import evaluation_table
from pipelines.report.page import INDEX_FILE
from pipelines.report.results import BENCHMARK_FIELDS, EVALUATION_FIELDS, read_results


def summary_of(exp: Path) -> str:
    """Write the summary of a run in Markdown.

    Args:
        exp: folder of the results of `run_distill.sh`: `evaluation/`, `benchmark.json` and
            `samples/`. If there is a listening page, the summary names it.
    Raises:
        ResultsError: if a result is missing or cannot be used; the message names the file.
    """
    sections = [
        f"# {exp}",
        "## Held-out utterances",
        evaluation_table(read_results(exp / "evaluation" / EVALUATION_FILE, EVALUATION_FIELDS)),
        "## Sampling speed",
        benchmark_table(read_results(exp / "benchmark.json", BENCHMARK_FIELDS)),
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
