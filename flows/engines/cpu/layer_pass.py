"""One sample of every stream through all layers of a network, in compiled code.

A layer's older taps read inputs that are at least `dilation` samples old. So the older taps of the
next few samples, a block, can be computed at once, and their weights are read once a block.

Two threads can share a network. In each layer, a thread computes half of the gated units and the
skips of this half. Both threads compute the whole output of the layer. A thread first sums over its
own units, then waits for the other thread's units.

The order of every sum is fixed: a stream's samples depend neither on the other streams nor on the
number of threads. A sum over the gated units is split into a sum over each half of the units.

If the matrices of the layers hold pairs of bfloat16 numbers, the input and the gated units of a
layer are rounded to pairs, too, and the rings hold pairs. All sums are in float32.
"""

import numba
import numpy as np

from flows.engines.cpu.activations import gated_units, rectify_rows
from flows.engines.cpu.arrays import Exchange, Frames, Network, Streams
from flows.engines.cpu.exchange import (
    claim_units,
    publish_skips,
    send_units,
    wait_for_skips,
    wait_for_units,
)
from flows.engines.cpu.instructions.intrinsics import CONTRACT
from flows.engines.cpu.instructions.products import holds_pairs
from flows.engines.cpu.kernels import (
    are_alike,
    multiply_add,
    multiply_add_halves,
    multiply_add_some,
    round_rows,
)


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def _start_block(
    network: Network,
    streams: Streams,
    frames: Frames,
    time: int,
    frame: int,
    layer: int,
    ring: int,
    gate: int,
) -> None:  # pragma: no cover
    """Begin a layer's gates for a block of samples: add the older taps to the context."""
    num_streams, block, gates = streams.previous.shape[0], streams.blocks[layer], streams.gates
    taps = network.older.shape[0] // network.dilations.size
    for r in range(block):
        for b in range(num_streams):
            for j in range(gates.shape[1]):
                gates[gate + r * num_streams + b, j] = frames.gates[b, frame, layer, j]
    for tap in range(taps):
        past = (time - (tap + 1) * network.dilations[layer]) % streams.rings[layer]
        row, which = ring + past * num_streams, layer * taps + tap
        multiply_add(
            gates, gate, streams.past, row, num_streams * block, network.older, which, streams.amx
        )


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def _add_half(
    weights: np.ndarray,
    streams: Streams,
    half: int,
    out: np.ndarray,
    row: int,
    layer: int,
    apart: bool,
) -> None:  # pragma: no cover
    """Multiply half of a layer's gated units by the layer's weights; add them to rows of `out`."""
    num_streams, depth = streams.units.shape[0], weights.shape[2]
    middle = (depth + 1) // 2
    first, stop = half * middle, middle + half * (depth - middle)
    multiply_add_some(
        out, row, streams.units, 0, num_streams, weights, layer, first, stop, apart, streams.amx
    )


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def _skip_row(streams: Streams, time: int, half: int) -> int:  # pragma: no cover
    """Return the first row in `Exchange.skips` for a sample and a half of the gated units."""
    row: int = (time % 2 * 2 + half) * streams.gated.shape[0]
    return row


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def _begin_output(
    network: Network, streams: Streams, part: int, row: int, layer: int
) -> None:  # pragma: no cover
    """Add the product of this thread's half of the units: thread 0 to the output, 1 to `apart`."""
    if part == 0:
        _add_half(network.out, streams, 0, streams.rows, row, layer, False)
    else:
        streams.apart[:] = np.float32(0.0)
        _add_half(network.out, streams, 1, streams.apart, 0, layer, False)


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def _finish_output(
    network: Network, streams: Streams, part: int, row: int, layer: int
) -> None:  # pragma: no cover
    """Add the other half's product; the bits equal those of one thread alone."""
    rows, apart = streams.rows, streams.apart
    if part == 0:
        _add_half(network.out, streams, 1, rows, row, layer, True)
    else:
        _add_half(network.out, streams, 0, rows, row, layer, False)
        for b in range(apart.shape[0]):
            for j in range(rows.shape[1]):
                rows[row + b, j] += apart[b, j]


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def pass_layers(
    network: Network,
    streams: Streams,
    exchange: Exchange,
    frames: Frames,
    parts: int,
    time: int,
    frame: int,
    here: int,
    row: int,
) -> int:  # pragma: no cover
    """Pass one sample of every stream through all layers.

    Each layer reads its input from `streams.rows` and stores it in its ring in `streams.past`. The
    layer adds its skips to `exchange.skips`, and writes its output, the next layer's input, to
    `streams.rows`. With skips, nobody reads the output of the last layer, and it is not computed.

    Args:
        network: this thread's weights.
        streams: this thread's state of B streams, updated in place.
        exchange: sums of skips, and memory in which two threads pass results to each other.
        frames: the context's contributions to the chunk.
        parts: number of threads that share the network, 1 or 2.
        time: time of the sample, in samples.
        frame: index in `frames` of the sample's frame.
        here: row of `streams.past` that gets the first layer's input of the first stream.
        row: row of `streams.rows` that holds the first layer's input of the first stream.
    Returns:
        the row of `streams.rows` that holds the last layer's output of the first stream.
    """
    num_streams, num_layers = streams.previous.shape[0], network.dilations.size
    rows, gates, gated = streams.rows, streams.gates, streams.gated
    part = network.part if parts == 2 else 0
    width, units = network.residual_channels, network.residual_channels // parts
    ring = gate = 0  # a layer's first rows in `past` and in `gates`
    for layer in range(num_layers):
        block = streams.blocks[layer]
        place = time & (block - 1)  # the remainder: blocks are powers of two
        if parts == 2:
            claim_units(network, streams, exchange, layer)
        # The layer's input goes into its ring; the older taps of a whole block are summed at once.
        round_rows(rows, row, num_streams, 0, width, streams.past, here)
        if place == 0:
            _start_block(network, streams, frames, time, frame, layer, ring, gate)
        now = gate + place * num_streams
        gate += block * num_streams
        ring += streams.rings[layer] * num_streams
        following = ring
        if layer + 1 < num_layers:
            following += time % streams.rings[layer + 1] * num_streams
        # The next layer reads this layer's output in place: in its own ring, or, if the rings hold
        # rounded pairs, in the other of the two layers' rows.
        out_row = num_streams - row if holds_pairs(streams.past) else following
        # The newest tap completes the gates; each thread makes its own part of the units.
        multiply_add(
            gates, now, streams.past, here, num_streams, network.current, layer, streams.amx
        )
        own, stop = part * units, (part + 1) * units
        for b in range(num_streams):
            gated_units(gates, now + b, units, gated[b, own:stop])
        round_rows(gated, 0, num_streams, own, stop, streams.units, 0)
        if parts == 2:
            send_units(network, streams, exchange, layer, time)
        # The output begins as the scaled input plus the bias; then come the products of the units.
        for b in range(num_streams):
            for j in range(rows.shape[1]):
                kept = network.row_scale[j] * rows[row + b, j]
                rows[out_row + b, j] = kept + network.out_bias[layer, j]
        is_read = layer + 1 < num_layers or network.skip_channels == 0
        at_once = num_streams == 1 and streams.amx.size == 0
        if parts == 1 and is_read and at_once and are_alike(network.out, network.skip):
            skip_row, skips = _skip_row(streams, time, 0), exchange.skips
            both = (network.out, network.skip, layer)
            multiply_add_halves(rows, out_row, skips, skip_row, streams.units, *both)
        elif parts == 1:
            if is_read:
                _add_half(network.out, streams, 0, rows, out_row, layer, False)
                _add_half(network.out, streams, 1, rows, out_row, layer, True)
            for half in range(2):
                skip_row = _skip_row(streams, time, half)
                _add_half(network.skip, streams, half, exchange.skips, skip_row, layer, False)
        else:
            if is_read:
                _begin_output(network, streams, part, out_row, layer)
            skip_row = _skip_row(streams, time, part)
            _add_half(network.skip, streams, part, exchange.skips, skip_row, layer, False)
            wait_for_units(network, streams, exchange, layer, time)
            if is_read:
                _finish_output(network, streams, part, out_row, layer)
        here, row = following, out_row
    if parts == 2:
        publish_skips(exchange, part, time + 1)
        wait_for_skips(exchange, part, time + 1)
    return row


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def start_skips(
    network: Network, streams: Streams, exchange: Exchange, time: int
) -> None:  # pragma: no cover
    """Begin this thread's sums of a sample's skips: half 0 at the biases, half 1 at 0."""
    num_streams, skips = streams.previous.shape[0], exchange.skips
    for half in range(2):
        if network.parts == 1 or network.part == half:
            row = _skip_row(streams, time, half)
            for b in range(num_streams):
                for j in range(skips.shape[1]):
                    skips[row + b, j] = network.skip_bias[j] if half == 0 else np.float32(0.0)


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def sum_up(
    network: Network, streams: Streams, exchange: Exchange, time: int, last_row: int
) -> None:  # pragma: no cover
    """Write the hidden layer's input: the sum of the skips or, without skips, the last output."""
    summed, gain = streams.summed, np.float32(network.skip_gain)
    if network.skip_channels == 0:
        rectify_rows(streams.rows, last_row, 0, gain, summed)
    else:
        num_streams, width = summed.shape
        row, skips = _skip_row(streams, time, 0), exchange.skips
        for b in range(num_streams):
            for j in range(width):
                summed[b, j] = skips[row + b, j] + skips[row + num_streams + b, j]
        rectify_rows(summed, 0, 0, gain, summed)
