"""The threads of compiled code, and how to keep PyTorch's out of their way."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

T = TypeVar("T")


def num_threads() -> int:
    """Return how many threads compiled code uses: PyTorch's, but not more than processors."""
    processors = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # not everywhere
        processors = len(os.sched_getaffinity(0))
    return min(torch.get_num_threads(), processors)


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep PyTorch to one thread for a while.

    Its others, when they have nothing left to do, wait for more by spinning: for milliseconds they
    hold the cores that compiled code, with threads of its own, is to run on next.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def each_on_one_thread(made: Iterable[T]) -> Iterator[T]:
    """Have each of some things made in `one_thread`."""
    iterator = iter(made)
    while True:
        with one_thread():
            try:
                thing = next(iterator)
            except StopIteration:
                return
        yield thing
