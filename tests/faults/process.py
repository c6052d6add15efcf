"""Commands of the pipeline, each in a process forked from one that has imported everything."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from pipelines.cli import main

# Importing takes ten times as long as the disturbed work.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.faults.workshop"])
_TIMEOUT = 600.0  # seconds


class FaultError(AssertionError):
    """Something was lost, wrong or half-written; the message says what and where."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, negative for a signal, and output."""

    code: int
    output: str


class Command:
    """A command at work.

    Args:
        words: as after `parallel-wavenet`.
        file_limit: largest file it may write, bytes.
    """

    def __init__(self, words: list[str], file_limit: int | None = None) -> None:
        descriptor, name = tempfile.mkstemp(prefix="command-")
        os.close(descriptor)
        self._output = Path(name)
        self._process = _CONTEXT.Process(target=_run, args=(words, name, file_limit))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def is_running(self) -> bool:
        """Tell whether it has not ended yet."""
        return self._process.is_alive()

    def finish(self) -> Ended:
        """Wait for the end."""
        self._process.join(_TIMEOUT)
        code = self._process.exitcode
        if code is None:
            raise FaultError(f"process {self.pid} did not end within {_TIMEOUT:.0f} s")
        output = self._output.read_text(errors="replace")
        self._output.unlink()
        return Ended(code, output)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> Ended:
        """Send a signal and wait for the end, which must be that of its own processes, too."""
        if self.is_running():
            os.kill(self.pid, number)
        ended = self.finish()
        self._expect_no_orphans()
        return ended

    def _expect_no_orphans(self) -> None:
        for _ in range(50):
            alive = [
                path.parent.name for path in Path("/proc").glob("[0-9]*/stat") if self._has(path)
            ]
            if not alive:
                return
            time.sleep(0.1)
        raise FaultError(f"process {alive[0]} outlived the command that started it")

    def _has(self, stat: Path) -> bool:
        """Tell whether a process is of this command's session."""
        try:
            state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:  # ended meanwhile
            return False
        return int(session) == self.pid and state != "Z"


def _run(words: list[str], output: str, file_limit: int | None) -> None:
    os.setsid()
    with open(output, "wb") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    if file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    torch.set_num_threads(1)
    tqdm.set_lock(threading.RLock())  # else the semaphores' tracker reports each killed process
    code = main(words)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
