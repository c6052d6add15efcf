"""The number of threads of compiled code and of PyTorch."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TypeVar

import torch

from storage.processors import num_processors

T = TypeVar("T")


def num_threads() -> int:
    """Return the number of threads of compiled code: PyTorch's, or the processors' if smaller."""
    return min(torch.get_num_threads(), num_processors())


class _Blocks(threading.local):
    """Which numbers the blocks of `pytorch_threads` that a Python thread is in restore."""

    def __init__(self) -> None:
        self.befores: list[int] = []


_lock, _blocks = threading.Lock(), _Blocks()
_inside, _outside = 0, 1  # number of threads of Python in a block, and PyTorch's number without one


@contextmanager
def pytorch_threads(count: int) -> Iterator[None]:
    """Set PyTorch's number of threads until the block ends.

    One thread leaves the cores to compiled code, which has threads of its own. Idle threads of
    PyTorch would spin for milliseconds while they wait for work.

    A thread of Python that has not asked yet inherits the number that another one has set. So
    threads whose blocks overlap all restore the number from before the first of them.
    """
    global _inside, _outside
    befores = _blocks.befores
    with _lock:
        if not befores:
            if not _inside:
                _outside = torch.get_num_threads()
            _inside += 1
        befores.append(torch.get_num_threads() if befores else _outside)
        torch.set_num_threads(count)
    try:
        yield
    finally:
        with _lock:
            torch.set_num_threads(befores.pop())
            _inside -= not befores


def each_on_one_thread(made: Iterable[T]) -> Iterator[T]:
    """Yield an iterable's items, making each item while PyTorch has one thread."""
    return each_within(made, partial(pytorch_threads, 1))


def each_within(
    made: Iterable[T], enter: Callable[[], AbstractContextManager[object]]
) -> Iterator[T]:
    """Yield an iterable's items, making each item within a context.

    Args:
        made: computes its items one by one.
        enter: returns the context. The context is left before the item is yielded.
    """
    iterator = iter(made)
    while True:
        with enter():
            try:
                thing = next(iterator)
            except StopIteration:
                return
        yield thing
