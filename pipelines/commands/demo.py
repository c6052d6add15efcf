"""The command `demo`: a page that runs a student in a browser."""

from pathlib import Path

from pipelines.demo.server import serve_folder
from pipelines.demo.site import write_site


def demo(
    out: Path = Path("site"),
    model: Path = Path("frame-16k"),
    example: Path | None = None,
    serve: bool = False,
    port: int = 8000,
) -> None:
    """Make a page that runs a student in the visitor's browser (docs/demo.md).

    Args:
        out: folder that gets index.html and its files; any web server can serve it.
        model: folder of a student.
        example: a recording that visitors may try, published with the page.
        serve: serve the folder to this machine until interrupted, and open it in a browser.
        port: port of --serve; 0 for any free port.
    """
    print(write_site(model, out, example), flush=True)
    if serve:
        serve_folder(out, port)
