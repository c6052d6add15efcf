"""The threads of compiled code, and how to keep PyTorch's out of their way."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
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
def pytorch_threads(count: int) -> Iterator[None]:
    """Let PyTorch have so many threads for a while.

    One leaves the cores to compiled code with threads of its own: PyTorch's others, when they have
    nothing left to do, wait for more by spinning, for milliseconds.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def each_on_one_thread(made: Iterable[T]) -> Iterator[T]:
    """Have each of some things made while PyTorch has one thread."""
    return each_within(made, partial(pytorch_threads, 1))


def each_within(
    made: Iterable[T], enter: Callable[[], AbstractContextManager[object]]
) -> Iterator[T]:
    """Have each of some things made within a context that is left before it is handed on."""
    iterator = iter(made)
    while True:
        with enter():
            try:
                thing = next(iterator)
            except StopIteration:
                return
        yield thing
