"""The demo page: a static folder that runs a student in the visitor's browser."""

from typing import TYPE_CHECKING

from storage.on_demand import on_demand

if TYPE_CHECKING:
    from pipelines.demo.server import serve_folder
    from pipelines.demo.site import write_site
else:
    __getattr__ = on_demand(__name__)

__all__ = ["serve_folder", "write_site"]
