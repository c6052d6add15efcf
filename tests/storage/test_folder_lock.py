"""One run at a time on one folder, and no remains of killed ones."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from storage.atomic import atomic_write
from storage.folder_lock import FolderInUseError, folder_lock


def test_a_second_run_is_refused_at_once(tmp_path: Path) -> None:
    with (
        folder_lock(tmp_path / "run"),
        pytest.raises(FolderInUseError, match=rf"run: in use by .*process {os.getpid()} on"),
        folder_lock(tmp_path / "run"),
    ):
        raise AssertionError
    with folder_lock(tmp_path / "run"):
        pass


def test_another_folder_is_free(tmp_path: Path) -> None:
    with folder_lock(tmp_path / "a"), folder_lock(tmp_path / "b"):
        pass


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A folder whose holder was killed while writing."""
    program = (
        "import sys, time; from pathlib import Path\n"
        "from storage.atomic import atomic_write; from storage.folder_lock import folder_lock\n"
        "folder = Path(sys.argv[1])\n"
        "with folder_lock(folder), atomic_write(folder / 'sub' / 'result') as file:\n"
        "    file.write(b'half'); file.flush(); print('writing', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        with pytest.raises(FolderInUseError, match=f"process {process.pid}"), folder_lock(tmp_path):
            pass
        process.send_signal(signal.SIGKILL)
    return tmp_path


def test_a_killed_holder_leaves_the_folder_free_and_nothing_half_written(killed: Path) -> None:
    assert [path.read_bytes() for path in (killed / "sub").iterdir()] == [b"half"]
    (killed / "sub" / ".mine.tmp").touch()
    with folder_lock(killed):
        assert [path.name for path in (killed / "sub").iterdir()] == [".mine.tmp"]


@pytest.mark.parametrize("sync_name", [True, False])
def test_a_name_is_on_the_disk_when_the_write_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync_name: bool
) -> None:
    calls = []
    for name in ("fsync", "replace"):
        call = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *a, name=name, call=call: (calls.append(name), call(*a))[1]
        )
    with atomic_write(tmp_path / "file", sync_name=sync_name) as file:
        file.write(b"content")
    assert calls == ["fsync", "replace", *(["fsync"] if sync_name else [])]
