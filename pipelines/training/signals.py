"""Signals to stop: SIGINT, SIGTERM, and SIGHUP unless it is ignored, as under nohup."""

import os
import signal
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

ECHO_SECONDS = 1.0


class Stopped(Exception):  # noqa: N818 - not an error
    """A run that was asked to stop and has saved its state; the message says where.

    Args:
        message: one line.
        received: the signal.
    """

    def __init__(self, message: str, received: signal.Signals) -> None:
        super().__init__(message)
        self.received = received


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP, raised as an exception so that the program can clean up.

    Args:
        received: the signal.
    """

    def __init__(self, received: signal.Signals) -> None:
        super().__init__(received)
        self.received = received


class StopRequest:
    """The signal that asked to stop, or None, and the time at which it came, in seconds."""

    received: signal.Signals | None = None
    time: float = 0.0


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Record signals to stop, instead of being interrupted by them.

    A second signal acts as it would have acted before. An exception is a second signal within
    `ECHO_SECONDS`: a launcher of several processes repeats signals that the processes have already
    received. Outside the main thread nothing changes, because Python delivers no signals there.

    Returns:
        a context manager that yields the request; the training loop reads it between steps.
    """
    request = StopRequest()

    def take_note(number: int, frame: FrameType | None) -> None:
        _leave_terminal(number)
        now = time.monotonic()
        if request.received is None:
            request.received, request.time = signal.Signals(number), now
        elif now - request.time > ECHO_SECONDS:
            for each, handler in before.items():
                signal.signal(each, handler)
            signal.raise_signal(number)

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, *_terminations())}
    for each in before:
        signal.signal(each, take_note)
    try:
        yield request
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """Make SIGTERM and SIGHUP raise `Terminated` in the block, as SIGINT raises an interrupt."""

    def terminate(number: int, frame: FrameType | None) -> None:
        _leave_terminal(number)
        raise Terminated(signal.Signals(number))

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, terminate) for each in _terminations()}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _terminations() -> list[signal.Signals]:
    """Return SIGTERM, and SIGHUP unless the program ignores SIGHUP."""
    is_kept = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return [signal.SIGTERM] if is_kept else [signal.SIGTERM, signal.SIGHUP]


def _leave_terminal(number: int) -> None:
    """After SIGHUP, redirect output from the terminal, where it would fail, to the null device."""
    if number != signal.SIGHUP:
        return
    for descriptor in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
