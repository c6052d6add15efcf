"""The listening page of a run: hear, see and read what it achieved, without a network."""

from pipelines.report.content import ReportError, collect
from pipelines.report.page import write_page

__all__ = ["ReportError", "collect", "write_page"]
