"""The browsers' runtime is fetched once by the user's npm, checked, and kept in a cache."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from pipelines.cli import main
from pipelines.demo import web_runtime
from pipelines.demo.web_runtime import ARCHIVE, MEMBERS, WebRuntimeError, runtime_files


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache and no npm."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "cache" / "parallel-wavenet"


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small package, taken for the real one."""
    path = tmp_path / "packed.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("package/other.js", *MEMBERS.values()):
            content = name.encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    monkeypatch.setattr(web_runtime, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def make_npm(tmp_path: Path, script: str) -> None:
    npm = tmp_path / "bin" / "npm"
    npm.write_text(f"#!/bin/sh\necho run >> {tmp_path}/runs\n{script}\n")
    npm.chmod(0o755)


def test_npm_fetches_it_once(tmp_path: Path, cache: Path, packed: Path) -> None:
    # The last word is the folder to pack to.
    make_npm(tmp_path, f'for word; do last="$word"; done; /bin/cp {packed} "$last/{ARCHIVE}"')
    expected = {name: member.encode() for name, member in MEMBERS.items()}
    for _ in range(2):
        assert runtime_files() == expected
    assert (tmp_path / "runs").read_text() == "run\n"
    assert [path.name for path in cache.iterdir()] == [ARCHIVE]


def test_a_copied_file_needs_no_npm(cache: Path, packed: Path) -> None:
    cache.mkdir(parents=True)
    (cache / ARCHIVE).write_bytes(packed.read_bytes())
    assert set(runtime_files()) == set(MEMBERS)


def test_without_npm_one_line_says_what_to_do(cache: Path) -> None:
    with pytest.raises(WebRuntimeError, match=rf"{ARCHIVE}: not there, and no npm .* copy it"):
        runtime_files()
    assert not cache.exists()


def test_what_npm_says_is_told(tmp_path: Path, cache: Path) -> None:
    make_npm(tmp_path, "echo 'npm error network is down' >&2; exit 1")
    with pytest.raises(WebRuntimeError, match=r"it says: npm error network is down"):
        runtime_files()
    assert not cache.exists()


def test_another_package_is_refused(tmp_path: Path, cache: Path) -> None:
    make_npm(tmp_path, f'for word; do last="$word"; done; echo other > "$last/{ARCHIVE}"')
    with pytest.raises(WebRuntimeError, match=r"sha256 is \w+, expected \w+; npm gave another"):
        runtime_files()
    assert not cache.exists()
    cache.mkdir(parents=True)
    (cache / ARCHIVE).write_text("damaged")
    with pytest.raises(WebRuntimeError, match=r"sha256 is .* delete it, and it is fetched again"):
        runtime_files()


def test_the_command_says_it_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipelines.demo.site.check_packages", lambda: None)
    assert main(["demo", "--out", str(tmp_path / "site")]) == 2
    assert ARCHIVE in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "site").exists()
