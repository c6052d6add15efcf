"""A folder served to the browsers of this machine."""

import http.server
import os
import sys
import webbrowser
from functools import partial
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
"""The address of this machine alone: browsers allow a microphone here without https."""


class _Handler(http.server.SimpleHTTPRequestHandler):
    # Some systems register no types, or wrong ones; a browser runs no module of another type.
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".wasm": "application/wasm",
    }

    def end_headers(self) -> None:
        """Have browsers ask again, so that a new student is not hidden by an old one."""
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def make_server(folder: Path, port: int) -> http.server.ThreadingHTTPServer:
    """Make a server of a folder.

    Args:
        folder: what is served.
        port: 0 for any that is free.
    Raises:
        ValueError: if the port is no port, or is taken.
    """
    if not 0 <= port < 2**16:
        raise ValueError(f"port is {port}, expected 0 to {2**16 - 1}")
    try:
        return http.server.ThreadingHTTPServer((HOST, port), partial(_Handler, directory=folder))
    except OSError as error:
        raise ValueError(f"port {port}: {error.strerror}; choose another by --port") from error


def serve_folder(folder: Path, port: int) -> None:
    """Serve a folder until interrupted, and open it in a browser where there is a screen."""
    with make_server(folder, port) as server:
        url = f"http://{HOST}:{server.server_address[1]}/"
        print(f"{url}  (Ctrl-C ends it)", flush=True)
        if _has_screen():
            webbrowser.open(url)
        server.serve_forever()


def _has_screen() -> bool:
    """Tell whether a window can be opened; elsewhere a browser would take over the terminal."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
