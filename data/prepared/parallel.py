"""A function mapped over items by several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

import torch

from data.prepared.manifest import DataError
from storage.processors import num_processors

T = TypeVar("T")
R = TypeVar("R")

# Below this many items to a process, starting it takes longer than its share of the work.
_ITEMS_PER_WORKER = 100


def choose_num_workers(num_items: int) -> int:
    """As many processes as there are processors, but no more than the items are worth."""
    return max(1, min(num_processors(), num_items // _ITEMS_PER_WORKER))


def parallel_map(function: Callable[[T], R], items: Sequence[T], num_workers: int) -> Iterator[R]:
    """Yield the function of every item, in the order in which they are done.

    Args:
        function: at the top level of a module, so that other processes find it.
        items: its arguments.
        num_workers: processes, one torch thread each; 1 stays in this process.
    Returns:
        An iterator over the results.
    Raises:
        DataError: if a process is killed.
    """
    if num_workers == 1:
        yield from map(function, items)
        return
    # Spawned, for a forked process can hang in a lock held by one of torch's threads.
    executor = ProcessPoolExecutor(
        min(num_workers, len(items)),
        get_context("spawn"),
        initializer=torch.set_num_threads,
        initargs=(1,),
    )
    try:
        for future in as_completed([executor.submit(function, item) for item in items]):
            yield future.result()
    except BrokenProcessPool as error:
        raise DataError(
            "a process was killed, perhaps for want of memory; "
            "run again to go on from here, with fewer num_workers"
        ) from error
    finally:
        # After an interruption the items still queued must not be waited for.
        executor.shutdown(cancel_futures=True)
