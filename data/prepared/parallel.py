"""A map over items by a pool of processes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

import torch
from tqdm import tqdm

from data.prepared.manifest import DataError
from storage.processors import num_processors

T = TypeVar("T")
R = TypeVar("R")


def choose_num_workers(num_items: int, items_per_worker: int = 100) -> int:
    """Return as many processes as there are processors, but no more than the items are worth.

    Args:
        num_items: number of items.
        items_per_worker: items below which starting a process takes longer than their work.
    """
    return max(1, min(num_processors(), num_items // items_per_worker))


def parallel_map(
    function: Callable[[T], R],
    items: Sequence[T],
    num_workers: int,
    advice: str = "run again to go on from here, with fewer num_workers",
) -> Iterator[R]:
    """Yield a function's result for every item, in the order in which the results are ready.

    Args:
        function: a function at the top level of a module, so that other processes can import it.
        items: the function's arguments.
        num_workers: number of processes, with one torch thread each; 1 uses this process.
        advice: what to do if a process is killed.
    Returns:
        an iterator over the results.
    Raises:
        DataError: if a process is killed.
    """
    if num_workers == 1:
        yield from map(function, items)
        return
    # A forked process can hang at a lock that one of torch's threads holds, so it is spawned.
    executor = ProcessPoolExecutor(
        min(num_workers, len(items)),
        get_context("spawn"),
        initializer=_start_worker,
    )
    try:
        for future in as_completed([executor.submit(function, item) for item in items]):
            yield future.result()
    except BrokenProcessPool as error:
        raise DataError(
            f"a process was killed, perhaps because memory ran out; {advice}"
        ) from error
    except BaseException:
        # An interrupted run must not wait for the items that the workers are busy with.
        for process in executor._processes.values():
            process.terminate()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """Give a process one thread, and leave Ctrl-C to the process that started it.

    A terminal sends the signal to all processes. By default, a worker would pass it on as the
    result of its item, and would then begin another item.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # By default, tqdm makes a lock that forked processes would share. This process was spawned and
    # shares nothing, but if it is ended early, Python warns that the lock was leaked.
    tqdm.set_lock(threading.RLock())
    torch.set_num_threads(1)
