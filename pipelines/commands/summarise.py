"""The command `parallel-wavenet summarise`."""

from pathlib import Path

from pipelines.report.summary import summary_of
from storage.atomic import write_file


def summarise(exp: Path) -> None:
    """Print what a run achieved and where to listen.

    Args:
        exp: results of run_distill.sh.
    """
    text = summary_of(exp)
    write_file(exp / "summary.md", text)
    print(text, end="")
