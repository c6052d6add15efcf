"""The compiled parallel pass: a WaveNet's layers over many samples at once, chunk by chunk.

Time runs along the rows, so that a tap of a dilated convolution is a matrix product with rows some
way up. Each layer keeps its past inputs in a ring; a chunk is small enough for what a layer reads
and writes to stay in the cache.
"""

from typing import NamedTuple

import numba
import numpy as np

from flows.compiled.kernels import CONTRACT, gated_units, multiply_add, shift_and_scale
from flows.compiled.layout import Network, padded_width

KERNELS = "627ce976731c"  # digest, see flows.compiled


class Segment(NamedTuple):
    """Consecutive layers of a network, and what they remember of B streams between chunks."""

    first: int  # the first of the layers
    stop: int  # the one after the last
    previous: np.ndarray  # the last sample of the chunk before, (B, C)
    starts: np.ndarray  # of each layer, the first row of its ring
    lengths: np.ndarray  # of each layer, the rows of its ring: whole chunks
    rows: np.ndarray  # past inputs and sums of skips, (B, rows, (R + S)*)
    gates: np.ndarray  # space to work in, (chunk, (2R)*)
    gated: np.ndarray  # the same, (chunk, R)


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
    lengths = (-(-past // chunk) + 1) * chunk
    width, depth = network.out_bias.shape[1], network.current.shape[2]
    return Segment(
        first=first,
        stop=stop,
        previous=np.zeros((num_streams, num_channels), np.float32),
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        rows=np.zeros((num_streams, lengths.sum(), width), np.float32),
        gates=np.empty((chunk, padded_width(network.current)), np.float32),
        gated=np.empty((chunk, depth), np.float32),
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
    for t in range(num_samples):
        h[here + t] = network.first_bias
    multiply_add(h, here, segment.previous, b, 1, network.first, 0)
    multiply_add(h, here + 1, x, start, num_samples - 1, network.first, 0)
    segment.previous[b] = x[start + num_samples - 1]


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy")
def _leave(
    network: Network,
    mixing: np.ndarray,
    offsets: np.ndarray,
    span: int,
    h: np.ndarray,
    x: np.ndarray,
    start: int,
) -> None:  # pragma: no cover
    """Shift and scale the samples x (T, C) by what the head reads from the last rows, then mix."""
    num_samples, channels = h.shape[0], x.shape[1]
    width, depth = network.hidden.shape[2], network.current.shape[2]
    first = depth if network.skip_channels else 0
    summed = np.empty((num_samples, width), np.float32)
    hidden = np.empty((num_samples, network.hidden_bias.size), np.float32)
    params = np.empty((num_samples, network.head_bias.size), np.float32)
    gain, zero = np.float32(network.skip_gain), np.float32(0.0)
    floor = np.float32(np.exp(network.log_scale_floor))
    for t in range(num_samples):
        for j in range(width):
            value = gain * h[t, first + j]
            summed[t, j] = value if value > zero else zero
        hidden[t] = network.hidden_bias
        params[t] = network.head_bias
    multiply_add(hidden, 0, summed, 0, num_samples, network.hidden, 0)
    for t in range(num_samples):
        for j in range(width):
            value = hidden[t, j]
            summed[t, j] = value if value > zero else zero
    multiply_add(params, 0, summed, 0, num_samples, network.head, 0)
    for t in range(num_samples):
        shift_and_scale(params, t, offsets[(start + t) // span], floor, x, start + t)
    if mixing.shape[0]:
        mixed = np.zeros((num_samples, mixing.shape[1] * mixing.shape[3]), np.float32)
        multiply_add(mixed, 0, x, start, num_samples, mixing, 0)
        for t in range(num_samples):
            for c in range(channels):
                x[start + t, c] = mixed[t, c]


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", nogil=True)
def run_segment(
    network: Network,
    mixing: np.ndarray,
    segment: Segment,
    gates: np.ndarray,
    offsets: np.ndarray,
    span: int,
    time: int,
    x: np.ndarray,
    start: int,
    h: np.ndarray,
) -> None:  # pragma: no cover
    """Take a chunk through some layers of an inverse autoregressive flow.

    Args:
        network: weights.
        mixing: what the last layer's samples are multiplied by, in panels, one of C to C or none.
        segment: which layers, and their state; updated in place.
        gates: context and bias of frames, shape (B, L, N, (2R)*).
        offsets: of their parameters, shape (B, L, 2, C).
        span: samples per frame.
        time: of the chunk's first sample.
        x: what the flow reads, shape (B, L * span, C); after the last layer, what it writes.
        start: the chunk's first sample in x.
        h: rows from the layers before, for the layers after, shape (B, T, (R + S)*): a chunk of T.
    """
    num_streams, num_samples, _ = h.shape
    depth, taps = network.current.shape[2], network.older.shape[0] // network.dilations.size
    for b in range(num_streams):
        rows, here = segment.rows[b], segment.starts[0] + time % segment.lengths[0]
        if segment.first == 0:
            _enter(network, segment, b, x[b], start, num_samples, rows, here)
        else:
            rows[here : here + num_samples] = h[b]
        for layer in range(segment.first, segment.stop):
            ring = segment.starts[layer - segment.first]
            length = segment.lengths[layer - segment.first]
            for t in range(num_samples):
                frame = (start + t) // span
                for j in range(segment.gates.shape[1]):
                    segment.gates[t, j] = gates[b, frame, layer, j]
            for tap in range(taps):
                past = (time - (tap + 1) * network.dilations[layer]) % length
                before_end = min(num_samples, length - past)
                which = layer * taps + tap
                weights = network.older
                multiply_add(segment.gates, 0, rows, ring + past, before_end, weights, which)
                rest = num_samples - before_end
                multiply_add(segment.gates, before_end, rows, ring, rest, weights, which)
            multiply_add(segment.gates, 0, rows, here, num_samples, network.current, layer)
            out, there = h[b], 0
            if layer + 1 < segment.stop:
                following = layer + 1 - segment.first
                out = rows
                there = segment.starts[following] + time % segment.lengths[following]
            for t in range(num_samples):
                gated_units(segment.gates, t, depth, segment.gated, t)
                for j in range(network.row_scale.size):
                    kept = network.row_scale[j] * rows[here + t, j]
                    out[there + t, j] = kept + network.out_bias[layer, j]
            multiply_add(out, there, segment.gated, 0, num_samples, network.out, layer)
            here = there
        if segment.stop == network.dilations.size:
            _leave(network, mixing, offsets[b], span, h[b], x[b], start)
