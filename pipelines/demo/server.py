"""A web server for the browsers of this machine."""

import http.server
import os
import sys
import webbrowser
from functools import partial
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
"""The loopback address, which only this machine can reach. Browsers allow a page there to use the
microphone without https."""


class _Handler(http.server.SimpleHTTPRequestHandler):
    # Systems may have no types, or wrong types, for these suffixes. A browser runs a module only if
    # its type is right.
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".wasm": "application/wasm",
    }

    def end_headers(self) -> None:
        """Send the headers, and tell browsers to ask for every file again.

        Otherwise a browser could go on using an earlier student from its cache.
        """
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: the terminal is for the address alone."""


def make_server(folder: Path, port: int) -> http.server.ThreadingHTTPServer:
    """Make a server of a folder.

    Args:
        folder: the folder to serve.
        port: number of the port; 0 chooses a free port.
    Returns:
        the server, which serves nothing until `serve_forever` is called.
    Raises:
        ValueError: if there is no such port, or if another program uses it.
    """
    if not 0 <= port < 2**16:
        raise ValueError(f"port is {port}, expected 0 to {2**16 - 1}")
    try:
        return http.server.ThreadingHTTPServer((HOST, port), partial(_Handler, directory=folder))
    except OSError as error:
        raise ValueError(f"port {port}: {error.strerror}; choose another by --port") from error


def serve_folder(folder: Path, port: int) -> None:
    """Serve a folder until interrupted, and open it in a browser if there is a screen.

    Args:
        folder: the folder to serve.
        port: see `make_server`.
    Raises:
        ValueError: see `make_server`.
    """
    with make_server(folder, port) as server:
        url = f"http://{HOST}:{server.server_address[1]}/"
        print(f"{url}  (Ctrl-C ends it)", flush=True)
        if _has_screen():
            webbrowser.open(url)
        server.serve_forever()


def _has_screen() -> bool:
    """Tell whether a window can be opened. Without one, a browser would run in the terminal."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
