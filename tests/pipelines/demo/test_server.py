"""A folder is served to this machine alone."""

import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.demo.server import make_server


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    for name in ("index.html", "demo.js", "ort.wasm"):
        (tmp_path / name).write_text(name)
    with make_server(tmp_path, 0) as server:
        host, port = server.server_address[:2]
        assert host == "127.0.0.1"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{host!s}:{port}/"
        server.shutdown()


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("", "index.html", "text/html"),
        ("demo.js", "demo.js", "text/javascript"),
        ("ort.wasm", "ort.wasm", "application/wasm"),
    ],
)
def test_files_have_the_types_that_browsers_want(
    url: str, name: str, content: str, kind: str
) -> None:
    with urllib.request.urlopen(url + name) as answer:
        assert answer.read().decode() == content
        assert answer.headers.get_content_type() == kind
        assert answer.headers["Cache-Control"] == "no-cache"


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with make_server(tmp_path, 0) as server:
        port = server.server_address[1]
        with pytest.raises(ValueError, match=rf"port {port}: .* choose another by --port"):
            make_server(tmp_path, port)
    with pytest.raises(ValueError, match="port is 70000, expected 0 to 65535"):
        make_server(tmp_path, 70000)
