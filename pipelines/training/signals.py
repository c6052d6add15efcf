"""Being asked to stop: SIGINT and SIGTERM."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
ECHO_SECONDS = 1.0


class Stopped(Exception):  # noqa: N818 - says what it is; not an error
    """A run that was asked to stop has saved its state; the message says where.

    Args:
        message: one line.
        received: the signal.
    """

    def __init__(self, message: str, received: signal.Signals) -> None:
        super().__init__(message)
        self.received = received


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised where the program stands, so that it cleans up behind itself."""


class StopRequest:
    """Which signal asked to stop, if one did."""

    received: signal.Signals | None = None
    time: float = 0.0


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Take note of SIGINT and SIGTERM instead of being interrupted by them.

    A second signal acts as it would have before, unless it follows at once: a launcher of several
    processes passes on what they have got already. Outside the main thread, where Python delivers
    no signals, nothing changes.

    Returns:
        A context manager that yields the request, to look at between steps.
    """
    request = StopRequest()

    def take_note(number: int, frame: FrameType | None) -> None:
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
    before = {each: signal.getsignal(each) for each in SIGNALS}
    for each in SIGNALS:
        signal.signal(each, take_note)
    try:
        yield request
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """Let SIGTERM raise `Terminated` within the block, as SIGINT raises KeyboardInterrupt."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
