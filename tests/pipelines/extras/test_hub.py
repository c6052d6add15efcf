"""A model by owner/name, from a server that speaks a model hub's protocol."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from student import Student
from tests.models import make_student

ROOT = Path(__file__).parents[3]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "owner/tiny"


class Hub(ThreadingHTTPServer):
    """Serves one repository's files, at `main` and at its commit."""

    folder: Path
    asked: list[str]


class Protocol(BaseHTTPRequestHandler):
    """What `huggingface_hub` asks for: a repository's list of files, then each file."""

    server: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *arguments: object) -> None:
        """Keep silent."""

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        files = {p.name: p.read_bytes() for p in self.server.folder.iterdir()}
        tree = [{"type": "file", "path": n, "size": len(b), "oid": "0"} for n, b in files.items()]
        names = [{"rfilename": name} for name in files]
        found = {"id": NAME, "modelId": NAME, "sha": COMMIT, "siblings": names, "tags": []}
        for revision in ("main", COMMIT):
            listed = {f"/api/models/{NAME}/revision/{revision}": found}
            listed[f"/api/models/{NAME}/tree/{revision}"] = tree
            if path in listed:
                return self._send(json.dumps(listed[path]).encode(), "application/json")
            name = path.removeprefix(f"/{NAME}/resolve/{revision}/")
            if name in files:
                return self._send(files[name], "application/octet-stream")
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    make_student().float().save_pretrained(tmp_path / "repository", {"mel": {}})
    (tmp_path / "repository" / "optimiser.bin").write_bytes(b"not needed")
    server = Hub(("127.0.0.1", 0), Protocol)
    server.folder, server.asked = tmp_path / "repository", []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def load(hub: Hub, name: str, place: Path, **more: str) -> tuple[int, str, str]:
    """Load a model in another process, which has the hub's address from the environment."""
    program = f"""
import sys
from flows import ArtefactError
from student import Student
try:
    student = Student.from_pretrained({name!r})
except ArtefactError as error:
    sys.exit(f"ArtefactError: {{error}}")
print(sum(p.double().abs().sum() for p in student.parameters()).item())
"""
    address = {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_address[1]}", "HF_HOME": str(place)}
    environment = os.environ | address | {"PYTHONPATH": str(ROOT), "NO_PROXY": "*"} | more
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=place.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_model_is_loaded_from_a_hub_and_then_from_its_cache(hub: Hub, tmp_path: Path) -> None:
    code, total, error = load(hub, NAME, tmp_path / "cache")
    assert code == 0, error
    saved = Student.from_pretrained(hub.folder)
    assert float(total) == sum(p.double().abs().sum() for p in saved.parameters()).item()
    assert not [path for path in hub.asked if "optimiser" in path]
    files = {path.name for path in (tmp_path / "cache").rglob("snapshots/*/*")}
    assert files == {"README.md", "config.json", "model.safetensors"}
    hub.asked.clear()
    assert load(hub, NAME, tmp_path / "cache", HF_HUB_OFFLINE="1") == (0, total, "")
    assert not hub.asked


def test_a_model_that_no_hub_has_is_told_in_one_line(hub: Hub, tmp_path: Path) -> None:
    code, _, error = load(hub, "owner/nothing", tmp_path / "cache")
    assert code == 1
    assert error.startswith("ArtefactError: owner/nothing: no such folder, and the hub does not")
    assert error.count("\n") == 1
