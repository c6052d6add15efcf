"""The listening page of a run: hear, see and read what it achieved, without a network."""

from typing import TYPE_CHECKING

from storage.on_demand import on_demand

if TYPE_CHECKING:
    from pipelines.report.content import ReportError, collect
    from pipelines.report.page import write_page
else:
    __getattr__ = on_demand(__name__)

__all__ = ["ReportError", "collect", "write_page"]
