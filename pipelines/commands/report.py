"""The command `parallel-wavenet report`."""

from pathlib import Path

from pipelines.report.content import collect
from pipelines.report.page import write_page


def report(exp: Path, out: Path | None = None, limit: int = 8) -> None:
    """Make a listening page of a run: a folder to open in a browser, without a network.

    Args:
        exp: results of run_distill.sh; results that do not exist are left out.
        out: folder that gets index.html and its files; default: EXP/report.
        limit: largest number of utterances.
    """
    print(write_page(collect(exp, limit), out or exp / "report"))
