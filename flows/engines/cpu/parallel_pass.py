"""The compiled parallel pass: a WaveNet's layers over many samples at once, chunk by chunk.

Each row is one time step, so a tap of a dilated convolution is a matrix product with earlier rows.
Each layer keeps its past inputs in a ring buffer. A chunk is so small that a layer's inputs and
outputs stay in the cache.

If the matrices of the layers hold pairs of bfloat16 numbers, the inputs and the gated units of the
layers are rounded to pairs, too, and the rings hold pairs. Sums, and the rows that pass from layer
to layer, are in float32.
"""

import numba
import numpy as np

from flows.engines.compiling import announce
from flows.engines.cpu.activations import gated_units, rectify_rows, shift_and_scale
from flows.engines.cpu.arrays import ContextWeights, Network
from flows.engines.cpu.instructions.amx import TILE_PAIRS, TILE_ROWS
from flows.engines.cpu.instructions.intrinsics import CONTRACT, borrow, pointer_to
from flows.engines.cpu.kernels import fill_rows, multiply_add, round_rows
from flows.engines.cpu.segment import Segment
from flows.engines.cpu.tiles import add_taps_in_tiles, begin_amx, end_amx


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def _enter(
    network: Network,
    segment: Segment,
    b: int,
    x: np.ndarray,
    start: int,
    num_samples: int,
    h: np.ndarray,
    here: int,
) -> None:  # pragma: no cover
    """Write the first layer's input to rows of h, from the samples x (T, C) delayed by one step."""
    fill_rows(h, here, num_samples, network.first_bias)
    multiply_add(h, here, segment.previous, b, 1, network.first, 0, segment.amx)
    multiply_add(h, here + 1, x, start, num_samples - 1, network.first, 0, segment.amx)
    # Copied one by one: compiling a slice takes a second, because its error has a message.
    for c in range(x.shape[1]):
        segment.previous[b, c] = x[start + num_samples - 1, c]


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def _leave(
    network: Network,
    weights: ContextWeights,
    mixing: np.ndarray,
    segment: Segment,
    context: np.ndarray,
    span: int,
    h: np.ndarray,
    x: np.ndarray,
    start: int,
) -> None:  # pragma: no cover
    """Compute the head from the last layer's rows h, shift and scale x (T, C), then rotate x."""
    num_samples, channels = h.shape[0], x.shape[1]
    width = network.hidden.shape[2]
    first = network.residual_channels if network.skip_channels else 0
    summed = np.empty((num_samples, width), np.float32)
    hidden = np.empty((num_samples, network.hidden_bias.size), np.float32)
    params = np.empty((num_samples, network.head_bias.size), np.float32)
    floor = np.float32(np.exp(network.log_scale_floor))
    first_frame = start // span
    num_frames = (start + num_samples - 1) // span - first_frame + 1
    offsets = np.zeros((num_frames, params.shape[1]), np.float32)
    multiply_add(offsets, 0, context, first_frame, num_frames, weights.params, 0, segment.amx)
    rectify_rows(h, 0, first, np.float32(network.skip_gain), summed)
    fill_rows(hidden, 0, num_samples, network.hidden_bias)
    for t in range(num_samples):
        for p in range(params.shape[1]):
            params[t, p] = network.head_bias[p] + offsets[(start + t) // span - first_frame, p]
    multiply_add(hidden, 0, summed, 0, num_samples, network.hidden, 0, segment.amx)
    rectify_rows(hidden, 0, 0, np.float32(1.0), summed)
    multiply_add(params, 0, summed, 0, num_samples, network.head, 0, segment.amx)
    for t in range(num_samples):
        shift_and_scale(params, t, floor, x, start + t)
    if mixing.shape[0]:
        mixed = np.zeros((num_samples, mixing.shape[1] * mixing.shape[3]), np.float32)
        multiply_add(mixed, 0, x, start, num_samples, mixing, 0, segment.amx)
        for t in range(num_samples):
            for c in range(channels):
                x[start + t, c] = mixed[t, c]


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def _add_taps(
    network: Network,
    segment: Segment,
    ring: np.ndarray,
    layer: int,
    first_row: int,
    length: int,
    time: int,
    num_samples: int,
) -> None:  # pragma: no cover
    """Add the products of all taps of a layer to the gates of some samples from `time` on.

    The layer's ring has `length` rows, from row `first_row` of `ring` on.
    """
    gates, older, amx, rows = segment.gates, network.older, segment.amx, segment.tap_rows
    _, num_panels, depth, columns = older.shape
    taps = older.shape[0] // network.dilations.size
    in_tiles = amx.size > 0 and num_samples % TILE_ROWS == 0 and depth % TILE_PAIRS == 0
    for tap in range(taps + 1):
        age = (tap + 1) * network.dilations[layer] if tap < taps else 0
        rows[tap] = first_row + (time - age) % length
        in_tiles = in_tiles and rows[tap] + num_samples <= first_row + length
    if in_tiles:
        size = num_panels * depth * columns
        add_taps_in_tiles(
            pointer_to(gates, 0),
            gates.shape[1],
            pointer_to(ring, 0),
            ring.shape[1],
            pointer_to(rows, 0),
            num_samples,
            pointer_to(older, layer * taps * size),
            pointer_to(network.current, layer * size),
            taps,
            num_panels,
            columns,
            depth,
            pointer_to(amx, 0),
        )
    else:
        for tap in range(taps):
            before_end = min(num_samples, first_row + length - rows[tap])
            rest, which = num_samples - before_end, layer * taps + tap
            multiply_add(gates, 0, ring, rows[tap], before_end, older, which, amx)
            multiply_add(gates, before_end, ring, first_row, rest, older, which, amx)
        multiply_add(gates, 0, ring, rows[taps], num_samples, network.current, layer, amx)


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", nogil=True)
def run_segment(
    network: Network,
    weights: ContextWeights,
    mixing: np.ndarray,
    segment: Segment,
    context: np.ndarray,
    read: np.ndarray,
    span: int,
    time: int,
    x: np.ndarray,
    start: int,
    h: np.ndarray,
) -> None:  # pragma: no cover
    """Take a chunk through some layers of an inverse autoregressive flow.

    Args:
        network: the network's weights.
        weights: the context's weights.
        mixing: matrix C to C that rotates the flow's output, in panels; empty for no rotation.
        segment: the layers and their state, updated in place.
        context: frames, shape (B, L, H).
        read: what the layers read: `context` itself, or `context` rounded to pairs.
        span: samples per frame.
        time: time of the chunk's first sample.
        x: the flow's input, shape (B, L * span, C); after the network's last layer, its output.
        start: index of the chunk's first sample in x.
        h: rows from the layers before, replaced by rows for the layers after, shape
            (B, T, (R + S)*) for a chunk of T samples.
    """
    network, weights, segment = borrow(network), borrow(weights), borrow(segment)
    begin_amx(segment.amx)
    num_streams, num_samples, _ = h.shape
    width, block = network.residual_channels, segment.gates.shape[0]
    starts, lengths = segment.row_starts, segment.row_lengths
    first_frame = start // span
    num_frames = (start + num_samples - 1) // span - first_frame + 1
    for b in range(num_streams):
        rows, ring, here = segment.rows[b], segment.rings[b], starts[0] + time % lengths[0]
        if segment.first == 0:
            _enter(network, segment, b, x[b], start, num_samples, rows, here)
        else:
            for t in range(num_samples):
                for j in range(h.shape[2]):
                    rows[here + t, j] = h[b, t, j]
        for layer in range(segment.first, segment.stop):
            first_row = segment.starts[layer - segment.first]
            length = segment.lengths[layer - segment.first]
            now = first_row + time % length
            round_rows(rows, here, num_samples, 0, width, ring, now)
            fill_rows(segment.framed, 0, num_frames, weights.bias[layer])
            multiply_add(
                segment.framed,
                0,
                read[b],
                first_frame,
                num_frames,
                weights.gates,
                layer,
                segment.amx,
            )
            out, there = h[b], 0
            if layer + 1 < segment.stop:
                following = layer + 1 - segment.first
                out, there = rows, starts[following] + time % lengths[following]
            for begin in range(0, num_samples, block):
                count = min(block, num_samples - begin)
                for t in range(count):
                    frame = (start + begin + t) // span - first_frame
                    for j in range(segment.gates.shape[1]):
                        segment.gates[t, j] = segment.framed[frame, j]
                _add_taps(network, segment, ring, layer, first_row, length, time + begin, count)
                for t in range(count):
                    gated_units(segment.gates, t, width, segment.gated[t])
                    row, out_row = here + begin + t, there + begin + t
                    for j in range(network.row_scale.size):
                        kept = network.row_scale[j] * rows[row, j]
                        out[out_row, j] = kept + network.out_bias[layer, j]
                round_rows(segment.gated, 0, count, 0, width, segment.units, 0)
                multiply_add(
                    out,
                    there + begin,
                    segment.units,
                    0,
                    count,
                    network.out,
                    layer,
                    segment.amx,
                )
            here = there
        if segment.stop == network.dilations.size:
            _leave(network, weights, mixing, segment, context[b], span, h[b], x[b], start)
    end_amx(segment.amx)


announce(run_segment, "the parallel pass", 5)
