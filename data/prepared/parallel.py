"""A function mapped over items by several processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

import torch

from data.prepared.manifest import DataError

T = TypeVar("T")
R = TypeVar("R")


def choose_num_workers(num_items: int, items_per_worker: int = 100) -> int:
    """Return as many processes as there are processors, but no more than the items are worth.

    Args:
        num_items: number of items.
        items_per_worker: items below which starting a process takes longer than their work.
    """
    # The processors this process may use, where the system tells: fewer than all in a container.
    has_affinity = hasattr(os, "sched_getaffinity")
    num_processors = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return max(1, min(num_processors, num_items // items_per_worker))


def parallel_map(
    function: Callable[[T], R],
    items: Sequence[T],
    num_workers: int,
    advice: str = "run again to go on from here, with fewer num_workers",
) -> Iterator[R]:
    """Yield the function of every item, in the order in which they are done.

    Args:
        function: at the top level of a module, so that other processes find it.
        items: its arguments.
        num_workers: processes, one torch thread each; 1 stays in this process.
        advice: what to do if a process is killed.
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
        raise DataError(f"a process was killed, perhaps for want of memory; {advice}") from error
    finally:
        # After an interruption the items still queued must not be waited for.
        executor.shutdown(cancel_futures=True)
