"""The command `parallel-wavenet summarise`."""

from pathlib import Path

from pipelines.report.summary import summary_of
from storage.atomic import atomic_write


def summarise(exp: Path) -> None:
    """Print a run's results and the files to listen to.

    Args:
        exp: results of run_distill.sh.
    """
    text = summary_of(exp)
    with atomic_write(exp / "summary.md") as file:
        file.write(text.encode(errors="backslashreplace"))
    print(text, end="")
