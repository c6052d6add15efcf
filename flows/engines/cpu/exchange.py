"""How two threads that share a network pass gated units and skips to each other while they draw.

Each integer of gated units carries a mark that flips with every sample (`MARKED`). A thread sees
from the mark whether the units are new, and needs no separate counter for them. The sums of skips
may have any value and leave no bit for a mark: a counter says when they are complete.
"""

import numba
import numpy as np

from flows.engines.cpu.arrays import Exchange, Network, Streams
from flows.engines.cpu.instructions.intrinsics import (
    CONTRACT,
    fetch_to_write,
    give_way,
    observe,
    publish,
    receive,
    send,
)

COUNTER_STRIDE = 16
"""The distance between two counters in integers of 64 bits: two cache lines, because processors
fetch cache lines in pairs."""

MARKED = 1 << 62 | 1 << 30
"""The two mark bits of an integer of 64 bits: bit 30 of each half.

Each half of an integer holds a float32 number or a pair of bfloat16 numbers. Bit 30 is the highest
bit of the exponent of the float32 number, or of the pair's second number. A gated unit is at most 1
in magnitude, so its bit 30 is zero, and the bit is free for the mark. NaN is the exception: its bit
30 is set. With the bit cleared, NaN reads as a number above 1, which `_with_nan` recognises."""

_PATIENCE = 2000  # number of looks at the other thread's units before giving way: microseconds
_NEVER = np.iinfo(np.int64).max  # counter of a thread that could not be started
_LINE = 8  # integers of 64 bits in a cache line
_NAN_UNMARKED = 0x3FC00000  # smallest quiet NaN in one half of an integer, with bit 30 cleared


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def _with_nan(pair: int) -> int:  # pragma: no cover
    """Restore NaN in an integer of gated units: set bit 30 again, which the mark had replaced."""
    for shift in (0, 32):
        if (pair >> shift) & 0x7FFFFFFF >= _NAN_UNMARKED:
            pair |= 1 << (30 + shift)
    return pair


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def claim_units(
    network: Network, streams: Streams, exchange: Exchange, layer: int
) -> None:  # pragma: no cover
    """Prefetch the cache lines that `send_units` will write; the other thread holds them."""
    num_streams, num_layers = streams.previous.shape[0], network.dilations.size
    count = num_streams * exchange.units.shape[1]
    at = (network.part * num_layers + layer) * count
    for k in range(0, count, _LINE):
        fetch_to_write(exchange.units, at + k)


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def send_units(
    network: Network, streams: Streams, exchange: Exchange, layer: int, time: int
) -> None:  # pragma: no cover
    """Send this thread's gated units of a layer to the other thread."""
    num_streams, num_layers = streams.previous.shape[0], network.dilations.size
    count, mark = exchange.units.shape[1], (time & 1) * MARKED
    row = (network.part * num_layers + layer) * num_streams
    for b in range(num_streams):
        for k in range(count):
            pair = streams.sent[b, network.part * count + k] & ~MARKED
            send(exchange.units, (row + b) * count + k, pair | mark)


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def wait_for_units(
    network: Network, streams: Streams, exchange: Exchange, layer: int, time: int
) -> None:  # pragma: no cover
    """Wait for the other thread's gated units of a layer; put them beside this thread's units."""
    num_streams, num_layers = streams.previous.shape[0], network.dilations.size
    count, mark, other = exchange.units.shape[1], (time & 1) * MARKED, 1 - network.part
    row, tries = (other * num_layers + layer) * num_streams, 0
    for b in range(num_streams):
        while True:
            different = 0
            for k in range(count):
                pair = receive(exchange.units, (row + b) * count + k)
                different |= pair ^ mark
                streams.sent[b, other * count + k] = pair & ~MARKED
            if different & MARKED == 0:
                break
            tries += 1
            if tries > _PATIENCE:  # the other thread may be waiting for this processor
                give_way()
                if observe(exchange.counters, other * COUNTER_STRIDE) == _NEVER:
                    break
    if network.skip_channels == 0:  # with skips, NaN reaches the other thread in the sums of skips
        for b in range(num_streams):
            for k in range(other * count, (other + 1) * count):
                streams.sent[b, k] = _with_nan(streams.sent[b, k])


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def publish_skips(exchange: Exchange, part: int, step: int) -> None:  # pragma: no cover
    """Announce that this thread has summed its skips of sample `step` - 1."""
    publish(exchange.counters, part * COUNTER_STRIDE, step)


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def wait_for_skips(exchange: Exchange, part: int, step: int) -> None:  # pragma: no cover
    """Wait until the other thread has summed its skips of sample `step` - 1."""
    tries = 0
    while observe(exchange.counters, (1 - part) * COUNTER_STRIDE) < step:
        tries += 1
        if tries > _PATIENCE:
            give_way()
