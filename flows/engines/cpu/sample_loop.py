"""The compiled loop over samples: it repeats `WaveNet.step` and `Affine.inverse` in compiled code.

Streams (utterances of a batch) run in lockstep through each layer, so each weight is read once for
all streams. A layer's older taps read inputs at least `dilation` samples old. The older taps of the
next few samples, a block, are therefore computed at once, and their weights are read once a block.

Two threads can share a network. Each thread computes half of a layer's gated units and their part
of the skips. Each thread computes the whole output of the layer, and waits once a layer for the
other thread's units; meanwhile it sums over its own units.

The order of every sum is fixed: a stream's samples depend neither on the other streams nor on the
number of threads. A sum over the gated units is split into a sum over each half of the units.

Where the layers' matrices hold pairs of bfloat16 numbers, a layer's input and its gated units are
rounded to pairs, too, and the rings hold pairs. All sums are in float32.
"""

from collections.abc import Callable

import numba
import numpy as np

from flows.engines.compiling import announce
from flows.engines.cpu.arrays import Exchange, Frames, Network, Samples, Streams
from flows.engines.cpu.exchange import (
    claim_units,
    publish_skips,
    send_units,
    wait_for_skips,
    wait_for_units,
)
from flows.engines.cpu.intrinsics import CONTRACT, borrow, compiled_inside, whole_vectors
from flows.engines.cpu.kernels import (
    are_alike,
    bounded_log_scale,
    fill_rows,
    gated_units,
    multiply_add,
    multiply_add_halves,
    multiply_add_some,
    rectify_rows,
    round_rows,
)
from flows.engines.cpu.long_term import predict_pitch
from flows.engines.cpu.products import holds_pairs

EXCHANGE = "6dd60b028bec"  # digests, see flows.engines.cpu
KERNELS = "cadf07f122e4"
LONG_TERM = "c6292c34b6a1"


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def _read(
    streams: Streams, frames: Frames, frame: int, error_gain: np.float32
) -> None:  # pragma: no cover
    """Write the network's inputs: the last sample, the next prediction, the last error."""
    num_streams, channels, order = streams.recent.shape
    for b in range(num_streams):
        for c in range(channels):
            value = streams.previous[b, c]
            streams.inputs[b, c] = value
            if order:
                error = value - streams.prediction[b, c]
                predicted = np.float32(0.0)
                for k in range(order):
                    sample = streams.recent[b, c, k + 1] if k + 1 < order else value
                    streams.recent[b, c, k] = sample
                    predicted += sample * frames.coefficients[b, frame, c, k]
                streams.prediction[b, c] = predicted
                streams.inputs[b, channels + c] = predicted
                streams.inputs[b, 2 * channels + c] = error_gain * error


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
    """Begin a layer's gates for a block of samples: the context and the older taps."""
    num_streams, block, gates = streams.previous.shape[0], streams.blocks[layer], streams.gates
    taps = network.older.shape[0] // network.dilations.size
    for r in range(block):
        for b in range(num_streams):
            for j in range(gates.shape[1]):
                gates[gate + r * num_streams + b, j] = frames.gates[b, frame, layer, j]
    for tap in range(taps):
        past = (time - (tap + 1) * network.dilations[layer]) % streams.rings[layer]
        row, which = ring + past * num_streams, layer * taps + tap
        multiply_add(gates, gate, streams.past, row, num_streams * block, network.older, which)


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
    multiply_add_some(out, row, streams.units, 0, num_streams, weights, layer, first, stop, apart)


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def _skip_row(streams: Streams, time: int, half: int) -> int:  # pragma: no cover
    """Return the first row in `Exchange.skips` for a sample and a half of the gated units."""
    row: int = (time % 2 * 2 + half) * streams.gated.shape[0]
    return row


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def _begin_output(
    network: Network, streams: Streams, part: int, row: int, layer: int
) -> None:  # pragma: no cover
    """Sum over this thread's half of the units: thread 0 into the output, thread 1 apart."""
    if part == 0:
        _add_half(network.out, streams, 0, streams.rows, row, layer, False)
    else:
        streams.apart[:] = np.float32(0.0)
        _add_half(network.out, streams, 1, streams.apart, 0, layer, False)


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def _finish_output(
    network: Network, streams: Streams, part: int, row: int, layer: int
) -> None:  # pragma: no cover
    """Add the sum over the other thread's units: the output equals one thread's to the bit."""
    rows, apart = streams.rows, streams.apart
    if part == 0:
        _add_half(network.out, streams, 1, rows, row, layer, True)
    else:
        _add_half(network.out, streams, 0, rows, row, layer, False)
        for b in range(apart.shape[0]):
            for j in range(rows.shape[1]):
                rows[row + b, j] += apart[b, j]


@compiled_inside(forceinline=True)
def _layers(
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
    """Take a sample of every stream through all layers; return the row of the last layer's output.

    The first layer's input is in row `row` of `streams.rows`; the loop stores it in row `here` of
    `streams.past`. Rows run over streams, then over time. With skips, the last output is omitted.
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
        round_rows(rows, row, num_streams, 0, width, streams.past, here)
        if place == 0:
            _start_block(network, streams, frames, time, frame, layer, ring, gate)
        now = gate + place * num_streams
        gate += block * num_streams
        ring += streams.rings[layer] * num_streams
        following = ring
        if layer + 1 < num_layers:
            following += time % streams.rings[layer + 1] * num_streams
        out_row = num_streams - row if holds_pairs(streams.past) else following
        multiply_add(gates, now, streams.past, here, num_streams, network.current, layer)
        own, stop = part * units, (part + 1) * units
        for b in range(num_streams):
            gated_units(gates, now + b, units, gated[b, own:stop])
        round_rows(gated, 0, num_streams, own, stop, streams.units, 0)
        if parts == 2:
            send_units(network, streams, exchange, layer, time)
        for b in range(num_streams):
            for j in range(rows.shape[1]):
                kept = network.row_scale[j] * rows[row + b, j]
                rows[out_row + b, j] = kept + network.out_bias[layer, j]
        is_read = layer + 1 < num_layers or network.skip_channels == 0
        if parts == 1 and is_read and num_streams == 1 and are_alike(network.out, network.skip):
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
def _start_skips(
    network: Network, streams: Streams, exchange: Exchange, time: int
) -> None:  # pragma: no cover
    """Begin this thread's sums of a sample's skips: with the biases for the first half, else 0."""
    num_streams, skips = streams.previous.shape[0], exchange.skips
    for half in range(2):
        if network.parts == 1 or network.part == half:
            row = _skip_row(streams, time, half)
            for b in range(num_streams):
                for j in range(skips.shape[1]):
                    skips[row + b, j] = network.skip_bias[j] if half == 0 else np.float32(0.0)


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def _sum_up(
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


@compiled_inside(forceinline=True)
def _component(logits: np.ndarray, choice: float) -> int:  # pragma: no cover
    """Choose a component of a mixture, as `sample_mixture` does."""
    highest = logits[0]
    for logit in logits:
        highest = max(highest, logit)
    total = 0.0
    for logit in logits:
        total += np.exp(np.float64(logit - highest))
    below = 0.0
    for k in range(logits.size - 1):
        below += np.exp(np.float64(logits[k] - highest))
        if below > choice * total:
            return k
    return logits.size - 1


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def _draw(
    network: Network, streams: Streams, frames: Frames, frame: int, samples: Samples, i: int
) -> None:  # pragma: no cover
    """Draw sample i of every stream, as `Affine`, `Triangular` or `sample_mixture` does."""
    num_streams, channels, _ = samples.noise.shape
    num_params, num_logits = network.is_location.size, network.num_logits
    components = 1 if num_logits == 0 else num_logits
    is_triangular = num_params > num_logits + 2 * components
    params = streams.params
    for b in range(num_streams):
        for c in range(channels):
            for p in range(num_params):
                predicted = network.is_location[p] * streams.prediction[b, c]
                params[b, p * channels + c] += frames.offsets[b, frame, p, c] + predicted
            k = num_logits
            if num_logits:
                k += _component(params[b, c::channels][:num_logits], samples.choice[b, c, i])
            raw = params[b, (k + components) * channels + c]
            scale = np.exp(bounded_log_scale(raw, network.log_scale_floor))
            location = params[b, k * channels + c]
            deviation = samples.noise[b, c, i] * scale
            if is_triangular:
                for j in range(c):
                    deviation += params[b, (2 + j) * channels + c] * streams.deviations[b, j]
                streams.deviations[b, c] = deviation
            value = np.float32(deviation + location)
            samples.x[b, c, i] = streams.previous[b, c] = value


def _loop(parts: int) -> Callable[..., None]:
    """Return the compiled loop of one of `parts` threads.

    It draws samples of a chunk, one after the other. Its arguments are:

        network: this thread's weights; a thread that shares the network must run meanwhile.
        streams: this thread's state of B streams, updated in place.
        exchange: memory in which the two threads pass results to each other.
        frames: the context's contributions to the chunk.
        samples: noise and output of the chunk; each thread writes all samples.
        start: time of the chunk's first sample.
        first: index in the chunk of the first sample to draw.
        stop: index in the chunk after the last sample to draw.
    """

    @numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", nogil=True)
    def loop(
        network: Network,
        streams: Streams,
        exchange: Exchange,
        frames: Frames,
        samples: Samples,
        start: int,
        first: int,
        stop: int,
    ) -> None:  # pragma: no cover
        whole_vectors()
        network, streams, exchange = borrow(network), borrow(streams), borrow(exchange)
        frames, samples = borrow(frames), borrow(samples)
        num_streams = samples.noise.shape[0]
        rows, summed, hidden, params = streams.rows, streams.summed, streams.hidden, streams.params
        error_gain = np.float32(network.error_gain)
        for i in range(first, stop):
            time = start + i
            frame = time // frames.length - frames.first
            if network.lags[0]:
                predict_pitch(network, streams, frames, frame, time)
            else:
                _read(streams, frames, frame, error_gain)
            here = time % streams.rings[0] * num_streams
            row = 0 if holds_pairs(streams.past) else here
            fill_rows(rows, row, num_streams, network.first_bias)
            multiply_add(rows, row, streams.inputs, 0, num_streams, network.first, 0)
            _start_skips(network, streams, exchange, time)
            row = _layers(network, streams, exchange, frames, parts, time, frame, here, row)
            _sum_up(network, streams, exchange, time, row)
            fill_rows(hidden, 0, num_streams, network.hidden_bias)
            multiply_add(hidden, 0, summed, 0, num_streams, network.hidden, 0)
            rectify_rows(hidden, 0, 0, np.float32(1.0), summed)
            fill_rows(params, 0, num_streams, network.head_bias)
            multiply_add(params, 0, summed, 0, num_streams, network.head, 0)
            _draw(network, streams, frames, frame, samples, i)

    compiled: Callable[..., None] = loop
    return compiled


advance, advance_together = _loop(1), _loop(2)
"""The loops of a thread alone and of one of two threads that share the network. They are two
functions because each takes seconds to compile, and most programs need only one."""

announce(advance, "the loop over samples", 9)
announce(advance_together, "the loop over samples on two threads", 11)
