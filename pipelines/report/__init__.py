"""The listening page of a run: its audio, pictures and results, to be opened without a network."""

from typing import TYPE_CHECKING

from storage.on_demand import on_demand

if TYPE_CHECKING:
    from pipelines.report.content import ReportError, collect
    from pipelines.report.page import write_page
else:
    __getattr__ = on_demand(__name__)

__all__ = ["ReportError", "collect", "write_page"]
