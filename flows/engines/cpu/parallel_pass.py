"""The compiled parallel pass: a WaveNet's layers over many samples at once, chunk by chunk.

Time runs along the rows, so that a tap of a dilated convolution is a matrix product with rows some
way up. Each layer keeps its past inputs in a ring; a chunk is small enough for what a layer reads
and writes to stay in the cache.

Where the layers' matrices are in pairs of bfloat16 numbers, what they are multiplied by is rounded
to pairs, too: the rings hold these. All sums, and what passes from layer to layer, are in float32.
"""

from typing import NamedTuple

import numba
import numpy as np

from flows.engines.cpu.arrays import ContextWeights, Network
from flows.engines.cpu.intrinsics import borrow
from flows.engines.cpu.kernels import (
    CONTRACT,
    fill_rows,
    gated_units,
    multiply_add,
    rectify_rows,
    round_rows,
    shift_and_scale,
)
from flows.engines.cpu.panels import are_pairs, padded_to_vectors, padded_width

KERNELS = "373d72780188"  # digest, see flows.engines.cpu


class Segment(NamedTuple):
    """Consecutive layers of a network, and what they remember of B streams between chunks."""

    first: int  # the first of the layers
    stop: int  # the one after the last
    previous: np.ndarray  # the last sample of the chunk before, (B, C)
    starts: np.ndarray  # of each layer, the first row of its ring
    lengths: np.ndarray  # of each layer, the rows of its ring: whole chunks
    rings: np.ndarray  # past inputs: (B, ring rows, ..), `rows` or their pairs
    row_starts: np.ndarray  # of each layer, its first of `rows`: of the ring's, or a chunk's
    row_lengths: np.ndarray  # of each layer, how many there are
    rows: np.ndarray  # inputs and sums of skips, (B, rows, (R + S)*)
    framed: np.ndarray  # space to work in, (chunk, (2R)*)
    gates: np.ndarray  # the same
    gated: np.ndarray  # (chunk, R or more)
    units: np.ndarray  # `gated` or its pairs


def start_segment(
    network: Network, first: int, stop: int, num_streams: int, num_channels: int, chunk: int
) -> Segment:
    """Return layers `first` to `stop` before the first chunk.

    Args:
        network: weights.
        first: number of the first of the layers.
        stop: of the one after the last.
        num_streams: B.
        num_channels: C.
        chunk: samples, at most; none goes beyond a multiple of it.
    """
    taps = network.older.shape[0] // network.dilations.size
    past = taps * network.dilations[first:stop]
    row_lengths = lengths = (-(-past // chunk) + 1) * chunk
    row_starts = starts = np.cumsum(lengths) - lengths
    width = network.out_bias.shape[1]
    gates = (chunk, padded_width(network.current))
    gated = np.zeros((chunk, padded_to_vectors(network.residual_channels)), np.float32)
    in_pairs = are_pairs(network.current)
    if in_pairs:  # one chunk of rows is read while the next layer's is written
        row_lengths = np.full_like(lengths, chunk)
        row_starts = chunk * (np.arange(stop - first) % 2)
    num_rows = int((row_starts + row_lengths).max())
    rows = np.zeros((num_streams, num_rows, width), np.float32)
    rings = rows
    if in_pairs:
        rings = np.zeros((num_streams, lengths.sum(), gated.shape[1] // 2), np.int32)
    return Segment(
        first=first,
        stop=stop,
        previous=np.zeros((num_streams, num_channels), np.float32),
        starts=starts,
        lengths=lengths,
        rings=rings,
        row_starts=row_starts,
        row_lengths=row_lengths,
        rows=rows,
        framed=np.empty(gates, np.float32),
        gates=np.empty(gates, np.float32),
        gated=gated,
        units=np.zeros((chunk, gated.shape[1] // 2), np.int32) if in_pairs else gated,
    )


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy")
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
    """Write the first layer's input to rows of h; it reads the samples x (T, C) one step late."""
    fill_rows(h, here, num_samples, network.first_bias)
    multiply_add(h, here, segment.previous, b, 1, network.first, 0)
    multiply_add(h, here + 1, x, start, num_samples - 1, network.first, 0)
    segment.previous[b] = x[start + num_samples - 1]


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy")
def _leave(
    network: Network,
    weights: ContextWeights,
    mixing: np.ndarray,
    context: np.ndarray,
    span: int,
    h: np.ndarray,
    x: np.ndarray,
    start: int,
) -> None:  # pragma: no cover
    """Shift and scale the samples x (T, C) by what the head reads from the last rows, then mix."""
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
    multiply_add(offsets, 0, context, first_frame, num_frames, weights.params, 0)
    rectify_rows(h, 0, first, np.float32(network.skip_gain), summed)
    fill_rows(hidden, 0, num_samples, network.hidden_bias)
    for t in range(num_samples):
        params[t] = network.head_bias + offsets[(start + t) // span - first_frame]
    multiply_add(hidden, 0, summed, 0, num_samples, network.hidden, 0)
    rectify_rows(hidden, 0, 0, np.float32(1.0), summed)
    multiply_add(params, 0, summed, 0, num_samples, network.head, 0)
    for t in range(num_samples):
        shift_and_scale(params, t, floor, x, start + t)
    if mixing.shape[0]:
        mixed = np.zeros((num_samples, mixing.shape[1] * mixing.shape[3]), np.float32)
        multiply_add(mixed, 0, x, start, num_samples, mixing, 0)
        for t in range(num_samples):
            for c in range(channels):
                x[start + t, c] = mixed[t, c]


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", nogil=True)
def run_segment(
    network: Network,
    weights: ContextWeights,
    mixing: np.ndarray,
    segment: Segment,
    context: np.ndarray,
    span: int,
    time: int,
    x: np.ndarray,
    start: int,
    h: np.ndarray,
) -> None:  # pragma: no cover
    """Take a chunk through some layers of an inverse autoregressive flow.

    Args:
        network: weights.
        weights: of its context.
        mixing: what the last layer's samples are multiplied by, in panels, one of C to C or none.
        segment: which layers, and their state; updated in place.
        context: frames, shape (B, L, H).
        span: samples per frame.
        time: of the chunk's first sample.
        x: what the flow reads, shape (B, L * span, C); after the last layer, what it writes.
        start: the chunk's first sample in x.
        h: rows from the layers before, for the layers after, shape (B, T, (R + S)*): a chunk of T.
    """
    network, weights, segment = borrow(network), borrow(weights), borrow(segment)
    num_streams, num_samples, _ = h.shape
    width, taps = network.residual_channels, network.older.shape[0] // network.dilations.size
    starts, lengths = segment.row_starts, segment.row_lengths
    first_frame = start // span
    num_frames = (start + num_samples - 1) // span - first_frame + 1
    for b in range(num_streams):
        rows, ring, here = segment.rows[b], segment.rings[b], starts[0] + time % lengths[0]
        if segment.first == 0:
            _enter(network, segment, b, x[b], start, num_samples, rows, here)
        else:
            rows[here : here + num_samples] = h[b]
        for layer in range(segment.first, segment.stop):
            first_row = segment.starts[layer - segment.first]
            length = segment.lengths[layer - segment.first]
            now = first_row + time % length
            round_rows(rows, here, num_samples, 0, width, ring, now)
            fill_rows(segment.framed, 0, num_frames, weights.bias[layer])
            multiply_add(
                segment.framed, 0, context[b], first_frame, num_frames, weights.gates, layer
            )
            for t in range(num_samples):
                frame = (start + t) // span - first_frame
                for j in range(segment.gates.shape[1]):
                    segment.gates[t, j] = segment.framed[frame, j]
            for tap in range(taps):
                past = (time - (tap + 1) * network.dilations[layer]) % length
                before_end = min(num_samples, length - past)
                which = layer * taps + tap
                older = network.older
                multiply_add(segment.gates, 0, ring, first_row + past, before_end, older, which)
                rest = num_samples - before_end
                multiply_add(segment.gates, before_end, ring, first_row, rest, older, which)
            multiply_add(segment.gates, 0, ring, now, num_samples, network.current, layer)
            out, there = h[b], 0
            if layer + 1 < segment.stop:
                following = layer + 1 - segment.first
                out, there = rows, starts[following] + time % lengths[following]
            for t in range(num_samples):
                gated_units(segment.gates, t, width, segment.gated[t])
                for j in range(network.row_scale.size):
                    kept = network.row_scale[j] * rows[here + t, j]
                    out[there + t, j] = kept + network.out_bias[layer, j]
            round_rows(segment.gated, 0, num_samples, 0, width, segment.units, 0)
            multiply_add(out, there, segment.units, 0, num_samples, network.out, layer)
            here = there
        if segment.stop == network.dilations.size:
            _leave(network, weights, mixing, context[b], span, h[b], x[b], start)
