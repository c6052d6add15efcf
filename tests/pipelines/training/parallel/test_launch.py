"""Workers that a command starts: joined, ended together, and reported in one line."""

from __future__ import annotations

import atexit
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from pipelines.ranks import rank, world_size
from pipelines.training.errors import LostProcessError, TrainingError
from pipelines.training.parallel import launch
from pipelines.training.parallel.launch import run_in_processes
from tests.pipelines.training.parallel.test_processes import (
    curve,
    recipe_of,
    start,
    wait_for_checkpoint,
)

ROOT = Path(__file__).parents[4]


def note(folder: Path) -> None:
    """Write down what a worker knows of itself, and what it hears of the others."""
    total = torch.tensor([1.0 + rank()])
    torch.distributed.all_reduce(total)
    known = {
        "world_size": world_size(),
        "threads": torch.get_num_threads(),
        "total": total.item(),
    }
    (folder / f"{rank()}.json").write_text(json.dumps(known))
    print(f"worker {rank()} prints")


def hold_the_lock() -> None:
    """Keep Python's lock while a thread of gloo waits for it to release a tensor."""
    sys.setswitchinterval(1000)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        pass


def end_before_gloo(folder: Path) -> None:
    """Let one worker end while a thread of gloo still waits there for the other worker."""
    assert os.environ["TORCH_CPP_LOG_LEVEL"] == "FATAL"  # gloo prints nothing
    if rank() == 0:
        while not (folder / "waiting").exists():
            time.sleep(0.01)
        time.sleep(1)
    torch.distributed.all_reduce(torch.ones(1), async_op=bool(rank()))
    if rank() == 1:
        atexit.register(hold_the_lock)
        (folder / "waiting").touch()


def note_number(folder: Path) -> None:
    """Write down the process, and wait for ever."""
    (folder / f"{rank()}.part").write_text(str(os.getpid()))
    (folder / f"{rank()}.part").rename(folder / f"{rank()}.pid")
    time.sleep(3600)


def fail_in_the_second(folder: Path) -> None:
    """Let one worker meet a mistake while the other waits."""
    if rank() == 0:
        note_number(folder)
    while not (folder / "0.pid").exists():
        time.sleep(0.01)
    raise ValueError("the second worker's mistake")


def kill_the_second(folder: Path) -> None:
    """Let one worker be killed while the other waits for it."""
    if rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    note_number(folder)


def is_running(number: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def numbers_in(folder: Path, count: int) -> list[int]:
    """Wait until workers have written down their processes."""
    for _ in range(6000):
        found = sorted(folder.glob("*.pid"))
        if len(found) == count:
            return [int(path.read_text()) for path in found]
        time.sleep(0.1)
    raise AssertionError("the workers did not start")


@pytest.mark.slow
def test_workers_are_joined_and_only_the_first_prints(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run_in_processes(note, 2, folder=tmp_path)
    for each in (0, 1):
        known = json.loads((tmp_path / f"{each}.json").read_text())
        assert known == {"world_size": 2, "threads": 1, "total": 3.0}
    assert capfd.readouterr().out.splitlines() == [
        "training in 2 processes of one thread each",
        "worker 0 prints",
    ]
    assert world_size() == 1  # here nothing has changed


@pytest.mark.slow
def test_a_worker_ends_in_peace_while_gloo_is_at_work(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As users' workers start: a copy of a server does not go through Python's end.
    monkeypatch.setattr(launch, "CONTEXT", multiprocessing.get_context("spawn"))
    monkeypatch.delenv("TORCH_CPP_LOG_LEVEL", raising=False)
    run_in_processes(end_before_gloo, 2, folder=tmp_path)
    assert capfd.readouterr().err == ""
    assert "TORCH_CPP_LOG_LEVEL" not in os.environ


@pytest.mark.slow
def test_a_workers_mistake_is_the_commands_and_ends_the_other_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch, "GRACE_SECONDS", 0.1)
    with pytest.raises(TrainingError, match=r"^the second worker's mistake$"):
        run_in_processes(fail_in_the_second, 2, folder=tmp_path)
    assert not is_running(*numbers_in(tmp_path, 1))
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_a_killed_worker_is_named_and_ends_the_other_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "GRACE_SECONDS", 5.0)
    with pytest.raises(LostProcessError, match="process 2 of 2 was ended by SIGKILL"):
        run_in_processes(kill_the_second, 2, folder=tmp_path)
    for path in tmp_path.glob("*.pid"):
        assert not is_running(int(path.read_text()))


@pytest.mark.slow
def test_no_worker_outlives_a_killed_command(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path; from tests.pipelines.training.parallel import test_launch as t;"
        f" t.run_in_processes(t.note_number, 2, folder=Path({str(tmp_path)!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    workers = numbers_in(tmp_path, 2)
    process.kill()
    process.wait()
    for _ in range(600):
        if not any(map(is_running, workers)):
            return
        time.sleep(0.1)
    raise AssertionError("a worker is still running")


@pytest.mark.slow
@pytest.mark.parametrize("to_all", [True, False], ids=["terminal", "command"])
def test_an_interrupted_command_saves_and_says_so_in_one_line(
    to_all: bool, dump: Path, tmp_path: Path
) -> None:
    recipe = recipe_of(max_steps=100_000, log_every=100_000)
    words = ["train-teacher", "--dump", str(dump), "--exp", str(tmp_path)]
    process = start(tmp_path, recipe, words, "command")
    wait_for_checkpoint(tmp_path / "teacher")
    # A terminal sends Ctrl-C to all processes.
    (os.killpg if to_all else os.kill)(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 130, output
    last = output.splitlines()[-1]
    assert "parallel-wavenet: stopped by SIGINT after step" in last
    assert output.count("stopped by") == 1
    assert "Traceback" not in output
    stopped_at = int(last.split("after step ")[1].split(",")[0])
    assert max(line["step"] for line in curve(tmp_path / "teacher")) <= stopped_at


@pytest.mark.slow
def test_ctrl_c_while_workers_are_loading_is_one_line(dump: Path, tmp_path: Path) -> None:
    words = ["train-teacher", "--dump", str(dump), "--exp", str(tmp_path)]
    process = start(tmp_path, recipe_of(), words, "command")
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    while "processes of one thread" not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], lines
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 130, output
    assert output.splitlines() == ["parallel-wavenet: interrupted; the same command resumes"]


def test_a_terminals_signal_that_the_command_passes_on_is_one_signal() -> None:
    # The worker's own signal is held back. Handled apart from the command's, it would be a second.
    script = """if True:
        import multiprocessing, os, signal, threading, time
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # also of threads to come
        from pipelines.training.parallel import launch

        def late(number, now=signal.raise_signal):
            time.sleep(0.2)
            now(number)

        received = []
        signal.signal(signal.SIGINT, lambda number, frame: received.append(number))
        os.kill(os.getpid(), signal.SIGINT)
        signal.raise_signal = late
        ours, theirs = multiprocessing.Pipe()
        threading.Thread(target=launch._listen, args=(theirs,), daemon=True).start()
        ours.send(signal.SIGINT)
        while not received:
            time.sleep(0.1)
        time.sleep(1)
        print(received == [signal.SIGINT], signal.SIGINT in signal.sigpending())
    """
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("True False\n", "")
