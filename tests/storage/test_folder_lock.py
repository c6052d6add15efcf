"""One run at a time in a folder, and no remains of killed runs."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import pytest

from storage.atomic import atomic_write, remove_temporaries
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
    """Make a folder whose holder was killed while writing."""
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


def test_a_file_that_a_living_process_writes_stays(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "inner" / "result") as file:
        file.write(b"the whole")
        with folder_lock(tmp_path), folder_lock(tmp_path / "inner", "0-of-2"):
            (unfinished,) = (tmp_path / "inner").glob(".*.tmp")
            assert unfinished.name.startswith(f".{os.getpid()}-")
    assert (tmp_path / "inner" / "result").read_bytes() == b"the whole"


def test_a_file_taken_for_abandoned_before_its_owner_locked_it_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, removed = fcntl.flock, []

    def remove_first(file: BinaryIO, kind: int) -> None:
        if not removed:
            removed.append(Path(file.name))
            removed[0].unlink()
        lock(file, kind)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with atomic_write(tmp_path / "result") as file:
        file.write(b"the whole")
    assert removed
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


def test_without_locks_files_are_written_and_nothing_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: BinaryIO, kind: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with atomic_write(tmp_path / "result"):
        remove_temporaries(tmp_path)
    assert (tmp_path / "result").exists()


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
