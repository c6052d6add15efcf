"""The compiled loop over samples: what `WaveNet.step` and `Affine.inverse` do, many times over.

Streams (utterances of a batch) run in lockstep through each layer, so that a weight is read once
for all of them. A layer of dilation d reads inputs at least d samples old: what its older taps
contribute to the next few samples is known beforehand and computed for all of these at
once, which reads those weights once a block.

Two threads can share a network. Each computes half of a layer's gated units and of its skips, and
the layer's output for itself: so it waits once a layer, for the other's units. Meanwhile it adds
the skips of the layer before.

The order of every sum is fixed: a stream's samples depend neither on the streams beside it nor on
the number of threads.
"""

import numba
import numpy as np

from flows.compiled.intrinsics import borrow, give_way, observe, publish
from flows.compiled.kernels import (
    CONTRACT,
    bounded_log_scale,
    fill_rows,
    gated_units,
    multiply_add,
    rectify_rows,
)
from flows.compiled.layout import COUNTER_STRIDE, Exchange, Frames, Network, Samples, Streams

KERNELS = "227b5c4fc994"  # digest, see flows.compiled

_PATIENCE = 2000  # looks at a counter: some microseconds


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", forceinline=True)
def _read(
    streams: Streams, frames: Frames, frame: int, error_gain: np.float32
) -> None:  # pragma: no cover
    """Write the network's inputs: the last sample, the prediction, and the error of the last."""
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


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", forceinline=True)
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
    """Write a layer's gates for a block of samples, but for the taps on current inputs."""
    num_streams, block, gates = streams.previous.shape[0], streams.blocks[layer], streams.gates
    taps = network.older.shape[0] // network.dilations.size
    for r in range(block):
        for b in range(num_streams):
            for j in range(gates.shape[1]):
                gates[gate + r * num_streams + b, j] = frames.gates[b, frame, layer, j]
    for tap in range(taps):
        past = (time - (tap + 1) * network.dilations[layer]) % streams.rings[layer]
        row, which = ring + past * num_streams, layer * taps + tap
        multiply_add(gates, gate, streams.rows, row, num_streams * block, network.older, which)


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", forceinline=True)
def _skip(
    network: Network, exchange: Exchange, layer: int, row: int, num_streams: int
) -> None:  # pragma: no cover
    """Add this thread's skips of a layer to their sums, from a row."""
    skips = exchange.skips
    for b in range(num_streams):
        for j in range(skips.shape[1]):
            before = skips[row + b, j] if layer else np.float32(0.0)
            skips[row + b, j] = before + network.skip_bias[layer, j]
    at = layer * num_streams
    multiply_add(skips, row, exchange.gated, at, num_streams, network.skip, layer)


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", forceinline=True)
def _wait_for_other(exchange: Exchange, part: int, step: int) -> None:  # pragma: no cover
    """Wait until the other thread has published a step."""
    tries = 0
    while observe(exchange.counters, (1 - part) * COUNTER_STRIDE) < step:
        tries += 1
        if tries > _PATIENCE:  # it may be waiting for this processor
            give_way()


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", forceinline=True)
def _layers(
    network: Network,
    streams: Streams,
    exchange: Exchange,
    frames: Frames,
    parts: int,
    time: int,
    frame: int,
    here: int,
) -> int:  # pragma: no cover
    """Take a sample of every stream through all layers, from row `here`; return the last's row.

    Rows run over streams, then over time. The last is not computed where nothing reads it: two
    threads have their sums of skips elsewhere.
    """
    num_streams, num_layers = streams.previous.shape[0], network.dilations.size
    rows, gates, gated = streams.rows, streams.gates, exchange.gated
    part = network.part if parts == 2 else 0
    units, own_skips = gated.shape[1] // parts, (time % 2 * parts + part) * num_streams
    ring = gate = 0  # first rows of a layer
    for layer in range(num_layers):
        block = streams.blocks[layer]
        place = time & (block - 1)  # the remainder: blocks are powers of two
        if place == 0:
            _start_block(network, streams, frames, time, frame, layer, ring, gate)
        now = gate + place * num_streams
        gate += block * num_streams
        ring += streams.rings[layer] * num_streams
        following = ring
        if layer + 1 < num_layers:
            following += time % streams.rings[layer + 1] * num_streams
        multiply_add(gates, now, rows, here, num_streams, network.current, layer)
        at = layer * num_streams
        for b in range(num_streams):
            gated_units(gates, now + b, units, gated[at + b, part * units : (part + 1) * units])
            for j in range(rows.shape[1]):
                kept = network.row_scale[j] * rows[here + b, j]
                rows[following + b, j] = kept + network.out_bias[layer, j]
        if parts == 2:
            step = time * (num_layers + 1) + layer + 1
            publish(exchange.counters, part * COUNTER_STRIDE, step)
            if layer:
                _skip(network, exchange, layer - 1, own_skips, num_streams)
            _wait_for_other(exchange, part, step)
        if parts == 1 or layer + 1 < num_layers or network.skip_channels == 0:
            multiply_add(rows, following, gated, at, num_streams, network.out, layer)
        here = following
    if parts == 2:
        _skip(network, exchange, num_layers - 1, own_skips, num_streams)
        step = (time + 1) * (num_layers + 1)
        publish(exchange.counters, part * COUNTER_STRIDE, step)
        _wait_for_other(exchange, part, step)
    return here


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", forceinline=True)
def _sum_up(
    network: Network, streams: Streams, exchange: Exchange, time: int, here: int
) -> None:  # pragma: no cover
    """Write what the hidden layer reads: the sum of the skips or, without any, the last row."""
    summed, gain = streams.summed, np.float32(network.skip_gain)
    if network.parts == 1 or network.skip_channels == 0:
        first = network.current.shape[2] if network.skip_channels else 0
        rectify_rows(streams.rows, here, first, gain, summed)
    else:
        num_streams, width = summed.shape
        half, row = (width + 1) // 2, time % 2 * 2 * num_streams
        for b in range(num_streams):
            for j in range(half):
                summed[b, j] = exchange.skips[row + b, j]
            for j in range(width - half):
                summed[b, half + j] = exchange.skips[row + num_streams + b, j]
        rectify_rows(summed, 0, 0, gain, summed)


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", forceinline=True)
def _component(logits: np.ndarray, choice: float) -> int:  # pragma: no cover
    """Pick a component of a mixture, as `sample_mixture` does."""
    highest = logits.max()
    total = 0.0
    for logit in logits:
        total += np.exp(np.float64(logit - highest))
    below = 0.0
    for k in range(logits.size - 1):
        below += np.exp(np.float64(logits[k] - highest))
        if below > choice * total:
            return k
    return logits.size - 1


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", forceinline=True)
def _draw(
    network: Network, streams: Streams, frames: Frames, frame: int, samples: Samples, i: int
) -> None:  # pragma: no cover
    """Draw sample i of every stream: location + scale * noise of its one or chosen component."""
    num_streams, channels, _ = samples.noise.shape
    num_params, num_logits = network.is_location.size, network.num_logits
    components = (num_params - num_logits) // 2
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
            value = np.float32(samples.noise[b, c, i] * scale + location)
            samples.x[b, c, i] = streams.previous[b, c] = value


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", nogil=True)
def advance(
    network: Network,
    streams: Streams,
    exchange: Exchange,
    frames: Frames,
    samples: Samples,
    start: int,
    first: int,
    stop: int,
) -> None:  # pragma: no cover
    """Draw samples of a chunk, one after the other.

    Args:
        network: weights of this thread; if others share the network, they have to run meanwhile.
        streams: state of B streams, of this thread alone; updated in place.
        exchange: of these streams, for both threads.
        frames: context of the chunk.
        samples: what the chunk is drawn from and written to; every thread writes all of it.
        start: time of the chunk's first sample.
        first: sample of the chunk to begin with.
        stop: the one after the last.
    """
    network, streams, exchange = borrow(network), borrow(streams), borrow(exchange)
    frames, samples = borrow(frames), borrow(samples)
    num_streams = samples.noise.shape[0]
    rows, summed, hidden, params = streams.rows, streams.summed, streams.hidden, streams.params
    error_gain = np.float32(network.error_gain)
    for i in range(first, stop):
        time = start + i
        frame = time // frames.length - frames.first
        _read(streams, frames, frame, error_gain)
        here = time % streams.rings[0] * num_streams
        fill_rows(rows, here, num_streams, network.first_bias)
        multiply_add(rows, here, streams.inputs, 0, num_streams, network.first, 0)
        if network.parts == 2:  # compiled twice, for each number by itself
            here = _layers(network, streams, exchange, frames, 2, time, frame, here)
        else:
            here = _layers(network, streams, exchange, frames, 1, time, frame, here)
        _sum_up(network, streams, exchange, time, here)
        fill_rows(hidden, 0, num_streams, network.hidden_bias)
        multiply_add(hidden, 0, summed, 0, num_streams, network.hidden, 0)
        rectify_rows(hidden, 0, 0, np.float32(1.0), summed)
        fill_rows(params, 0, num_streams, network.head_bias)
        multiply_add(params, 0, summed, 0, num_streams, network.head, 0)
        _draw(network, streams, frames, frame, samples, i)
