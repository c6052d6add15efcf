"""What two threads that share a network tell each other while they draw.

Gated units say by themselves whether they are new: a mark that changes with every sample stands in
the numbers (`MARKED`), so that they arrive as fast as a counter would. Sums of skips, which may
have any value, are followed by a counter.
"""

import numba
import numpy as np

from flows.engines.cpu.arrays import Exchange, Network, Streams
from flows.engines.cpu.intrinsics import fetch_to_write, give_way, observe, publish, receive, send
from flows.engines.cpu.kernels import CONTRACT

INTRINSICS = "214663375170"  # digest, see flows.engines.cpu

COUNTER_STRIDE = 16
"""Integers from one counter to the next: two cache lines, as processors fetch pairs."""

MARKED = 1 << 62 | 1 << 30
"""The highest bit of the exponents of two numbers in an integer, or of two of four in bfloat16. No
gated unit has it, because none is greater than one; so it can say whether they are new. NaN has it,
and is above one without it."""

_PATIENCE = 2000  # looks at what the other thread sends: some microseconds
_NEVER = np.iinfo(np.int64).max  # counter of a thread that will not come
_LINE = 8  # integers in a cache line
_NAN_UNMARKED = 0x3FC00000  # least bits of NaN, or of a pair whose second number it is, but for 30


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", forceinline=True)
def _with_nan(pair: int) -> int:  # pragma: no cover
    """Restore NaN in an integer of gated units, whose bit the mark has taken the place of."""
    for shift in (0, 32):
        if (pair >> shift) & 0x7FFFFFFF >= _NAN_UNMARKED:
            pair |= 1 << (30 + shift)
    return pair


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", forceinline=True)
def claim_units(
    network: Network, streams: Streams, exchange: Exchange, layer: int
) -> None:  # pragma: no cover
    """Prepare to send the gated units of a layer: the other thread has read the last sample's."""
    num_streams, num_layers = streams.previous.shape[0], network.dilations.size
    count = num_streams * exchange.units.shape[1]
    at = (network.part * num_layers + layer) * count
    for k in range(0, count, _LINE):
        fetch_to_write(exchange.units, at + k)


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", forceinline=True)
def send_units(
    network: Network, streams: Streams, exchange: Exchange, layer: int, time: int
) -> None:  # pragma: no cover
    """Send this thread's gated units of a layer to the other."""
    num_streams, num_layers = streams.previous.shape[0], network.dilations.size
    count, mark = exchange.units.shape[1], (time & 1) * MARKED
    row = (network.part * num_layers + layer) * num_streams
    for b in range(num_streams):
        for k in range(count):
            pair = streams.sent[b, network.part * count + k] & ~MARKED
            send(exchange.units, (row + b) * count + k, pair | mark)


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", forceinline=True)
def wait_for_units(
    network: Network, streams: Streams, exchange: Exchange, layer: int, time: int
) -> None:  # pragma: no cover
    """Wait for the other thread's gated units of a layer, and put them beside the own ones."""
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
            if tries > _PATIENCE:  # it may be waiting for this processor
                give_way()
                if observe(exchange.counters, other * COUNTER_STRIDE) == _NEVER:
                    break
    if network.skip_channels == 0:  # with skips, a thread's own ones tell the other
        for b in range(num_streams):
            for k in range(other * count, (other + 1) * count):
                streams.sent[b, k] = _with_nan(streams.sent[b, k])


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", forceinline=True)
def publish_skips(exchange: Exchange, part: int, step: int) -> None:  # pragma: no cover
    """Say that this thread's skips of a step are complete."""
    publish(exchange.counters, part * COUNTER_STRIDE, step)


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", forceinline=True)
def wait_for_skips(exchange: Exchange, part: int, step: int) -> None:  # pragma: no cover
    """Wait until the other thread's skips of a step are complete."""
    tries = 0
    while observe(exchange.counters, (1 - part) * COUNTER_STRIDE) < step:
        tries += 1
        if tries > _PATIENCE:
            give_way()
