"""The command `summarise`: the results of a run, printed."""

from pathlib import Path

from pipelines.report.summary import summary_of
from storage.atomic import write_file


def summarise(exp: Path) -> None:
    """Print a run's results and the files to listen to.

    Args:
        exp: results of run_distill.sh.
    """
    text = summary_of(exp)
    write_file(exp / "summary.md", text)
    print(text, end="")
