"""The compiled parallel pass: a WaveNet's layers over many samples at once, chunk by chunk.

Each row is one time step, so a tap of a dilated convolution is a matrix product with earlier rows.
Each layer keeps its past inputs in a ring buffer. A chunk is so small that a layer's inputs and
outputs stay in the cache.

If the matrices of the layers hold pairs of bfloat16 numbers, the inputs and the gated units of the
layers are rounded to pairs, too, and the rings hold pairs. Sums, and the rows that pass from layer
to layer, are in float32.
"""

from typing import NamedTuple

import numba
import numpy as np

from flows.engines.compiling import announce
from flows.engines.cpu.activations import gated_units, rectify_rows, shift_and_scale
from flows.engines.cpu.arrays import ContextWeights, Network
from flows.engines.cpu.intrinsics import CONTRACT, borrow
from flows.engines.cpu.kernels import fill_rows, multiply_add, round_rows
from flows.engines.cpu.panels import are_pairs, padded_to_vectors, padded_width


class Segment(NamedTuple):
    """Consecutive layers of a network, and their streaming state for B streams between chunks.

    `rings` keeps the past inputs of the layers, and `rows` holds what passes from layer to layer.
    With matrices in float32, both names stand for one array. With matrices of pairs, `rings` holds
    pairs, and `rows` has room for two chunks: one layer's, which is read, and the next layer's,
    which is written.
    """

    first: int  # number of the first layer
    stop: int  # number after the last layer
    previous: np.ndarray  # the last sample of the chunk before, (B, C)
    starts: np.ndarray  # each layer's first row in `rings`
    lengths: np.ndarray  # each layer's number of rows in `rings`: whole chunks
    rings: np.ndarray  # past inputs, (B, ring rows, ..)
    row_starts: np.ndarray  # each layer's first row in `rows`
    row_lengths: np.ndarray  # each layer's number of rows in `rows`
    rows: np.ndarray  # a layer's input, then the sum of the skips so far, (B, rows, (R + S)*)
    framed: np.ndarray  # working memory: the context's gates, one row a frame, (chunk, (2R)*)
    gates: np.ndarray  # working memory: a layer's gates, one row a sample, (chunk, (2R)*)
    gated: np.ndarray  # working memory: a layer's gated units, (chunk, R or more)
    units: np.ndarray  # `gated` itself, or `gated` rounded to pairs


def start_segment(
    network: Network, first: int, stop: int, num_streams: int, num_channels: int, chunk: int
) -> Segment:
    """Return layers `first` to `stop` before the first chunk.

    Args:
        network: the network's weights.
        first: number of the first layer.
        stop: number after the last layer.
        num_streams: number of streams, B.
        num_channels: channels of the signal, C.
        chunk: largest number of samples in a chunk; a chunk must not cross a multiple of `chunk`.
    """
    taps = network.older.shape[0] // network.dilations.size
    past = taps * network.dilations[first:stop]
    row_lengths = lengths = (-(-past // chunk) + 1) * chunk
    row_starts = starts = np.cumsum(lengths) - lengths
    width = network.out_bias.shape[1]
    gates = (chunk, padded_width(network.current))
    gated = np.zeros((chunk, padded_to_vectors(network.residual_channels)), np.float32)
    in_pairs = are_pairs(network.current)
    if in_pairs:  # one layer's chunk of rows is read while the next layer's chunk is written
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
    multiply_add(h, here, segment.previous, b, 1, network.first, 0)
    multiply_add(h, here + 1, x, start, num_samples - 1, network.first, 0)
    # Copied one by one: compiling a slice takes a second, because its error has a message.
    for c in range(x.shape[1]):
        segment.previous[b, c] = x[start + num_samples - 1, c]


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
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
    multiply_add(offsets, 0, context, first_frame, num_frames, weights.params, 0)
    rectify_rows(h, 0, first, np.float32(network.skip_gain), summed)
    fill_rows(hidden, 0, num_samples, network.hidden_bias)
    for t in range(num_samples):
        for p in range(params.shape[1]):
            params[t, p] = network.head_bias[p] + offsets[(start + t) // span - first_frame, p]
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
        network: the network's weights.
        weights: the context's weights.
        mixing: matrix C to C that rotates the flow's output, in panels; empty for no rotation.
        segment: the layers and their state, updated in place.
        context: frames, shape (B, L, H).
        span: samples per frame.
        time: time of the chunk's first sample.
        x: the flow's input, shape (B, L * span, C); after the network's last layer, its output.
        start: index of the chunk's first sample in x.
        h: rows from the layers before, replaced by rows for the layers after, shape
            (B, T, (R + S)*) for a chunk of T samples.
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


announce(run_segment, "the parallel pass", 5)
