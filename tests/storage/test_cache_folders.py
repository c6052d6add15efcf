"""The folder of compiled code, if nothing can be written or the disk is full."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from storage import cache_folders

ROOT = Path(__file__).parents[2]
PACKAGES = ("data", "distill", "dsp", "flows", "pipelines", "storage", "student", "teacher")


def read_only_copy(folder: Path) -> Path:
    """Copy the packages so that numba cannot write beside the sources, even as root."""
    for package in (
        "data",
        "distill",
        "dsp",
        "flows",
        "pipelines",
        "storage",
        "student",
        "teacher",
    ):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    for place in [folder, *folder.rglob("*/")]:
        (place / "__pycache__").write_text("a file where a folder would be")
    return folder


def run(folder: Path, *code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("NUMBA_", "XDG_", "MPL", "TRITON_CACHE", "PYTEST_", "COV_"))
    }
    return subprocess.run(
        [sys.executable, *code],
        cwd=folder,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_read_only_install_and_home_cost_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    home, scratch = str(tmp_path / "file/home"), tmp_path / "scratch"
    scratch.mkdir()
    copy = read_only_copy(tmp_path / "copy")
    found = run(copy, "-m", "pipelines.cli", "--help", HOME=home, TMPDIR=str(scratch))
    assert found.returncode == 0, found.stderr
    assert found.stderr.count("\n") == 1
    assert f"{copy}/storage/__pycache__: " in found.stderr
    assert f"{home}/.cache/numba: " in found.stderr
    assert not list(scratch.glob("parallel-wavenet-*"))


@pytest.mark.slow
def test_a_folder_that_cannot_be_used_is_named_and_replaced_for_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    code = "import os; import dsp; print(os.environ['NUMBA_CACHE_DIR'])"
    named = str(tmp_path / "file/named")
    found = run(ROOT, "-c", code, NUMBA_CACHE_DIR=named, TMPDIR=str(scratch))
    assert found.returncode == 0, found.stderr
    assert f"({named}: Not a directory)" in found.stderr
    assert found.stdout.startswith(str(scratch))
    assert not list(scratch.glob("parallel-wavenet-*"))


def choose(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str | None:
    for name in ("NUMBA_CACHE_DIR", "NUMBA_CACHE_LOCATOR_CLASSES", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    cache_folders.choose_numba_folder()
    return os.environ.get("NUMBA_CACHE_DIR")


def test_a_usable_folder_is_used_silently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    beside = str(Path(cache_folders.__file__).parent / "__pycache__")
    assert choose(monkeypatch) == beside
    assert choose(monkeypatch, NUMBA_CACHE_DIR=str(tmp_path / "new")) == str(tmp_path / "new")
    monkeypatch.setattr(cache_folders, "__file__", "/dev/null/storage/cache_folders.py")
    assert choose(monkeypatch, XDG_CACHE_HOME=str(tmp_path)) == str(tmp_path / "numba")
    assert choose(monkeypatch, NUMBA_CACHE_LOCATOR_CLASSES="InTreeCacheLocator") is None
    assert capsys.readouterr().err == ""


def test_a_full_disk_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2**20))
    chosen = choose(monkeypatch, NUMBA_CACHE_DIR=str(tmp_path / "full"))
    assert chosen is not None
    assert not chosen.startswith(str(tmp_path / "full"))
    error = capsys.readouterr().err
    assert f"({tmp_path}/full: 1 MB free)" in error
    assert error.count("\n") == 1


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no shared memory")
def test_shared_memory_replaces_a_missing_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)

    def make(prefix: str, dir: str | None) -> str:
        if dir is None:
            raise FileNotFoundError("No usable temporary directory found")
        return f"{dir}/{prefix}made"

    monkeypatch.setattr(cache_folders.tempfile, "mkdtemp", make)
    cache_folders._temporary_folder.cache_clear()
    assert cache_folders._temporary_folder() == "/dev/shm/parallel-wavenet-made"
    assert os.environ.pop("TMPDIR") == "/dev/shm/parallel-wavenet-made"
    cache_folders._temporary_folder.cache_clear()


def test_without_a_home_matplotlib_gets_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_CONFIG_HOME", "MPLCONFIGDIR", "TRITON_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    cache_folders.choose_other_folders()
    assert "MPLCONFIGDIR" not in os.environ
    monkeypatch.setenv("HOME", "/dev/null/home")
    cache_folders.choose_other_folders()
    assert Path(os.environ["MPLCONFIGDIR"]).is_dir()
    assert Path(os.environ["TRITON_CACHE_DIR"]).is_dir()
    for name in ("MPLCONFIGDIR", "TRITON_CACHE_DIR"):
        monkeypatch.delenv(name)


def test_a_home_that_may_not_be_searched_cannot_be_written(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o000)
    child = os.fork()
    if child == 0:
        found = 2
        try:
            if os.geteuid() == 0:  # root may search everything
                os.setuid(65534)
            found = int(cache_folders._can_be_written(home / ".config" / "matplotlib"))
        finally:
            os._exit(found)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
