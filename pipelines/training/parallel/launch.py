"""Worker processes that a training command starts by itself, on one machine.

Each worker runs the command's function for its part of every batch. The command's own process
starts the workers, passes signals on to them, and says in one line why they ended.
"""

from __future__ import annotations

import math
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from tqdm import tqdm

from pipelines.standard_streams import open_standard_streams
from pipelines.training.errors import LostProcessError, TrainingError
from pipelines.training.parallel.processes import is_lost_process, leave, leave_at_exit
from pipelines.training.signals import (
    Stopped,
    StopRequest,
    Terminated,
    stop_requests,
    termination_as_interrupt,
)

GRACE_SECONDS = 5.0
"""Time for the other workers to end, after one has failed."""

POLL_SECONDS = 0.2
"""Longest time until a signal is passed on to the workers."""

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that only the command may send to workers, and no terminal or manager of jobs."""

CONTEXT: Any = get_context("spawn")
"""How workers start. Copies of a server that has loaded the program would start at once, but a
server ignores this process's `sys.path`, needs a short TMPDIR, and keeps its first run's streams.
"""

LOOPBACK = ("lo", "lo0")
"""Names of the interface that connects processes of one machine, on Linux and on macOS."""


class Report(NamedTuple):
    """What a worker says at its end, if it is not done; `message` is one line for the user."""

    kind: Literal["mistake", "stopped", "interrupted", "lost"]
    message: str
    received: signal.Signals


@dataclass
class _Worker:
    """A worker's process, and what it has said at its end."""

    process: BaseProcess
    line: connection.Connection
    report: Report | None = None

    def tell(self, received: signal.Signals) -> None:
        """Pass a signal on."""
        with suppress(OSError):  # the worker has just ended
            self.line.send(received)

    def read_report(self) -> None:
        """Read what the worker has said, after its end."""
        with suppress(EOFError, OSError):
            self.report = self.line.recv()


def run_in_processes(command: Callable[..., None], num_processes: int, **arguments: Any) -> None:
    """Run a training command in several processes of one thread each, and wait for their end.

    The processes have the environment variables that a launcher sets (`pipelines.ranks`), and gloo
    connects them by the loopback interface. A signal to stop reaches all of them, and a second
    signal kills them. However this process ends, the workers end, too.

    Args:
        command: a function at the top level of a module.
        num_processes: number of processes, at least 2.
        arguments: arguments of the function; they are pickled.
    Raises:
        TrainingError: if a worker fails, with the worker's message; the others have been ended.
        Stopped: after a signal, if the workers have saved their state.
        KeyboardInterrupt: after a signal, if the workers had not begun to train.
    """
    print(f"training in {num_processes} processes of one thread each", flush=True)
    with tempfile.TemporaryDirectory(prefix="parallel-wavenet-") as folder:
        workers: list[_Worker] = []
        try:
            with stop_requests() as stop:
                for rank in range(num_processes):
                    place = _Place(rank, num_processes, Path(folder) / "meeting")
                    workers.append(_start(command, arguments, place))
                killed = _wait(workers, stop)
        finally:
            for worker in workers:
                worker.process.kill()
                worker.process.join()
    _conclude(workers, killed, stop.received)


class _Place(NamedTuple):
    """A worker's number, the number of workers, and the file by which they find each other."""

    rank: int
    num_processes: int
    meeting: Path


def _start(command: Callable[..., None], arguments: dict[str, Any], place: _Place) -> _Worker:
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=_work, args=(command, arguments, place, theirs))
    with _signals_held_back(), _gloo_silenced():
        process.start()
    theirs.close()  # else reading would not end with the worker
    return _Worker(process, ours)


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Hold back signals to stop in the block, and for ever in a process that the block starts.

    Otherwise a worker that gets Ctrl-C from the terminal could take the command's message for a
    second signal, if the machine is busy, or could show a traceback while it is loading modules.
    """
    resource_tracker.ensure_running()  # starting it would let signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _gloo_silenced() -> Iterator[None]:
    """Keep gloo from printing lines in a process that the block starts, unless the user wants them.

    If a worker ends while others are joining it, the command says so in one line.
    """
    name = "TORCH_CPP_LOG_LEVEL"
    is_wanted = name in os.environ
    if not is_wanted:
        os.environ[name] = "FATAL"
    try:
        yield
    finally:
        if not is_wanted:
            del os.environ[name]


def _wait(workers: Sequence[_Worker], stop: StopRequest) -> list[_Worker]:
    """Wait for the end of all workers, or return those that do not end after one has failed."""
    running, is_told, deadline = list(workers), False, math.inf
    while running and time.monotonic() < deadline:
        connection.wait([worker.process.sentinel for worker in running], POLL_SECONDS)
        if stop.received is not None and not is_told:
            is_told = True
            for worker in running:
                worker.tell(stop.received)
        for worker in [worker for worker in running if not worker.process.is_alive()]:
            running.remove(worker)
            worker.read_report()
            if worker.process.exitcode:
                deadline = min(deadline, time.monotonic() + GRACE_SECONDS)
    return running


def _conclude(
    workers: Sequence[_Worker], killed: Sequence[_Worker], received: signal.Signals | None
) -> None:
    """Return if the workers are done; otherwise raise the error that best explains the reason."""
    said = {worker.report.kind: worker.report for worker in workers[::-1] if worker.report}
    failed = [worker for worker in workers if worker.process.exitcode and worker not in killed]
    if "mistake" in said:
        raise TrainingError(said["mistake"].message)
    if "stopped" in said:
        raise Stopped(said["stopped"].message, received or said["stopped"].received)
    if failed and (received is not None or "interrupted" in said):
        number = received or said["interrupted"].received
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)
    for worker in failed:
        name = f"process {workers.index(worker) + 1} of {len(workers)}"
        code = worker.process.exitcode or 0
        if code < 0 and worker.report is None:
            raise LostProcessError(
                f"{name} was ended by {signal.Signals(-code).name}, perhaps because memory ran "
                "out; the same command resumes from the last checkpoint"
            )
        if worker.report is None:
            raise TrainingError(f"{name} failed: its error is above")
    if failed:
        raise LostProcessError(said["lost"].message)


def _work(
    command: Callable[..., None],
    arguments: dict[str, Any],
    place: _Place,
    line: connection.Connection,
) -> None:
    """Run the command in a worker, and report how it ends."""
    open_standard_streams()
    tqdm.set_lock(threading.RLock())  # its usual semaphore is reported lost if a worker is killed
    torch.set_num_threads(1)
    report: Report | None = None
    try:
        with (
            termination_as_interrupt(),
            open(os.devnull, "w") as nowhere,
            redirect_stdout(nowhere) if place.rank else nullcontext(),
        ):
            threading.Thread(target=_listen, args=(line,), daemon=True).start()
            _meet(place)
            command(**arguments)
    except Stopped as stopped:
        report = Report("stopped", str(stopped), stopped.received)
    except KeyboardInterrupt as interrupt:
        number = interrupt.received if isinstance(interrupt, Terminated) else signal.SIGINT
        report = Report("interrupted", "", number)
    except (ValueError, OSError, TrainingError) as error:
        message = str(error) or type(error).__name__
        is_lost = isinstance(error, LostProcessError)
        report = Report("lost" if is_lost else "mistake", message, signal.SIGTERM)
    except RuntimeError as error:
        if not is_lost_process(error):
            raise
        report = Report("lost", f"lost a process of {place.num_processes}", signal.SIGTERM)
    finally:
        for each in STOPPING:  # nothing is left to be stopped
            signal.signal(each, signal.SIG_IGN)
    if report is not None:
        line.send(report)
    leave()  # copies of a server, which tests start, do not come to the exit of Python
    if report is not None:
        raise SystemExit(0 if report.kind == "stopped" else 1)


def _meet(place: _Place) -> None:
    """Join the other workers by gloo."""
    rank, size = str(place.rank), str(place.num_processes)
    os.environ |= {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    # By default gloo takes the interface of the host's name, which need not exist or be reachable.
    found = [name for _, name in socket.if_nameindex() if name in LOOPBACK]
    if found:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", found[0])
    store = torch.distributed.FileStore(  # type: ignore[attr-defined]
        str(place.meeting), place.num_processes
    )
    torch.distributed.init_process_group(
        "gloo", store=store, rank=place.rank, world_size=place.num_processes
    )
    leave_at_exit()


def _listen(line: connection.Connection) -> None:
    """Raise in this process the signals that the command passes on; end when the command ends."""
    try:
        while True:
            received = line.recv()
            if received in signal.sigpending():
                signal.sigwait({received})  # the terminal's own signal, held back until now
            before = signal.pthread_sigmask(signal.SIG_UNBLOCK, {received})
            signal.raise_signal(received)  # the main thread handles it
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    except (EOFError, OSError):
        os._exit(1)
