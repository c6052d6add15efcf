"""The command `report`: a listening page of one or several runs."""

from pathlib import Path

from pipelines.report.content import collect
from pipelines.report.page import write_page
from pipelines.report.side_by_side import side_by_side


def report(exp: list[Path], out: Path | None = None, limit: int = 8) -> None:
    """Make a listening page of a run, or of several: a folder for a browser, without a network.

    Args:
        exp: results of run_distill.sh; results that do not exist are left out. Several runs are
            compared.
        out: folder that gets index.html and its files; default, for one run: EXP/report.
        limit: largest number of utterances of each run.
    """
    if out is None and len(exp) != 1:
        raise ValueError(f"out is missing, expected a folder for the page of {len(exp)} runs")
    content = side_by_side([collect(folder, limit) for folder in exp])
    print(write_page(content, out or exp[0] / "report"))
