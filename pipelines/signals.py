"""Being asked to stop: SIGINT and SIGTERM."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


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


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Take note of SIGINT and SIGTERM instead of being interrupted by them.

    A second signal acts as it did before. Outside the main thread, where Python delivers no
    signals, nothing changes.

    Returns:
        A context manager that yields the request, to look at between steps.
    """
    request = StopRequest()

    def take_note(number: int, frame: FrameType | None) -> None:
        request.received = signal.Signals(number)
        for each, handler in before.items():
            signal.signal(each, handler)

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
