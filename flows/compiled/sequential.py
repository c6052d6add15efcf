"""The compiled loop over samples: what `WaveNet.step` and `Affine.inverse` do, many times over.

Streams (utterances of a batch) run in lockstep through each layer, so that a weight is read once
for all of them. A layer of dilation d reads inputs at least d samples old: what its older taps
contribute to the next few samples is known beforehand and computed for all of these at
once, which reads those weights once a block. The order of every sum is fixed: a stream's samples
depend neither on the streams beside it nor on the number of threads.

What runs once a sample or a layer takes arrays, not tuples of them: numba counts the references of
each array that it reads off a tuple, which took an eighth of the time.
"""

import numba
import numpy as np

from flows.compiled.kernels import (
    CONTRACT,
    bounded_log_scale,
    fill_rows,
    gated_units,
    multiply_add,
    rectify_rows,
)
from flows.compiled.layout import Frames, Network, Streams

KERNELS = "94a6f2b98bc2"  # digest, see flows.compiled


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy")
def _read(
    previous: np.ndarray,
    prediction: np.ndarray,
    recent: np.ndarray,
    coefficients: np.ndarray,
    frame: int,
    error_gain: np.float32,
    inputs: np.ndarray,
) -> None:  # pragma: no cover
    """Write the network's inputs: the last sample, the prediction, and the error of the last."""
    num_streams, channels, order = recent.shape
    for b in range(num_streams):
        for c in range(channels):
            value = previous[b, c]
            inputs[b, c] = value
            if order:
                error = value - prediction[b, c]
                predicted = np.float32(0.0)
                for k in range(order):
                    sample = recent[b, c, k + 1] if k + 1 < order else value
                    recent[b, c, k] = sample
                    predicted += sample * coefficients[b, frame, c, k]
                prediction[b, c] = predicted
                inputs[b, channels + c] = predicted
                inputs[b, 2 * channels + c] = error_gain * error


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy")
def _layers(
    current: np.ndarray,
    older: np.ndarray,
    out: np.ndarray,
    out_bias: np.ndarray,
    row_scale: np.ndarray,
    dilations: np.ndarray,
    frame_gates: np.ndarray,
    frame: int,
    blocks: np.ndarray,
    rings: np.ndarray,
    rows: np.ndarray,
    gates: np.ndarray,
    gated: np.ndarray,
    time: int,
    here: int,
) -> int:  # pragma: no cover
    """Take a sample of every stream through all layers, from row `here`; return the last's row.

    Arrays are those of `Network`, `Frames` and `Streams`; rows run over streams, then over time.
    """
    num_streams, width = gated.shape
    taps = older.shape[0] // dilations.size
    ring = gate = 0  # first rows of a layer
    for layer in range(dilations.size):
        block = blocks[layer]
        place = time % block
        if place == 0:
            # A layer's gates for the block that starts now, but for the taps on current inputs.
            for r in range(block):
                for b in range(num_streams):
                    for j in range(gates.shape[1]):
                        value = frame_gates[b, frame, layer, j]
                        gates[gate + r * num_streams + b, j] = value
            for tap in range(taps):
                past = ring + (time - (tap + 1) * dilations[layer]) % rings[layer] * num_streams
                which = layer * taps + tap
                multiply_add(gates, gate, rows, past, num_streams * block, older, which)
        now = gate + place * num_streams
        gate += block * num_streams
        ring += rings[layer] * num_streams
        following = ring
        if layer + 1 < dilations.size:
            following += time % rings[layer + 1] * num_streams
        multiply_add(gates, now, rows, here, num_streams, current, layer)
        for b in range(num_streams):
            gated_units(gates, now + b, width, gated, b)
            for j in range(row_scale.size):
                kept = row_scale[j] * rows[here + b, j]
                rows[following + b, j] = kept + out_bias[layer, j]
        multiply_add(rows, following, gated, 0, num_streams, out, layer)
        here = following
    return here


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy")
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


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy")
def _draw(
    num_logits: int,
    log_scale_floor: float,
    is_location: np.ndarray,
    previous: np.ndarray,
    prediction: np.ndarray,
    offsets: np.ndarray,
    frame: int,
    params: np.ndarray,
    noise: np.ndarray,
    choice: np.ndarray,
    i: int,
    x: np.ndarray,
) -> None:  # pragma: no cover
    """Draw sample i of every stream: location + scale * noise of its one or chosen component."""
    num_streams, channels, _ = noise.shape
    components = (is_location.size - num_logits) // 2
    for b in range(num_streams):
        for c in range(channels):
            for p in range(is_location.size):
                offset = offsets[b, frame, p, c] + is_location[p] * prediction[b, c]
                params[b, p * channels + c] += offset
            k = num_logits
            if num_logits:
                k += _component(params[b, c::channels][:num_logits], choice[b, c, i])
            raw = params[b, (k + components) * channels + c]
            scale = np.exp(bounded_log_scale(raw, log_scale_floor))
            value = np.float32(noise[b, c, i] * scale + params[b, k * channels + c])
            x[b, c, i] = previous[b, c] = value


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", nogil=True)
def advance(
    network: Network,
    streams: Streams,
    frames: Frames,
    start: int,
    noise: np.ndarray,
    choice: np.ndarray,
    x: np.ndarray,
) -> None:  # pragma: no cover
    """Draw the samples of a chunk, one after the other.

    Args:
        network: weights.
        streams: state of B streams; updated in place.
        frames: context of the chunk.
        start: time of the chunk's first sample.
        noise: shape (B, C, T).
        choice: uniform in [0, 1), picks the component of a mixture; shape (B, C, T).
        x: gets the samples, shape (B, C, T).
    """
    num_streams, _, num_samples = noise.shape
    width, rows = network.current.shape[2], streams.rows
    gain, error_gain = np.float32(network.skip_gain), np.float32(network.error_gain)
    head_width, first = network.hidden.shape[2], width if network.skip_channels else 0
    inputs = np.zeros((num_streams, network.first.shape[2]), np.float32)
    gated = np.empty((num_streams, width), np.float32)
    summed = np.empty((num_streams, head_width), np.float32)
    hidden = np.empty((num_streams, network.hidden_bias.size), np.float32)
    params = np.empty((num_streams, network.head_bias.size), np.float32)
    for i in range(num_samples):
        time = start + i
        frame = time // frames.length - frames.first
        _read(
            streams.previous,
            streams.prediction,
            streams.recent,
            frames.coefficients,
            frame,
            error_gain,
            inputs,
        )
        here = time % streams.rings[0] * num_streams
        fill_rows(rows, here, num_streams, network.first_bias)
        multiply_add(rows, here, inputs, 0, num_streams, network.first, 0)
        here = _layers(
            network.current,
            network.older,
            network.out,
            network.out_bias,
            network.row_scale,
            network.dilations,
            frames.gates,
            frame,
            streams.blocks,
            streams.rings,
            rows,
            streams.gates,
            gated,
            time,
            here,
        )
        rectify_rows(rows, here, first, gain, summed)
        fill_rows(hidden, 0, num_streams, network.hidden_bias)
        multiply_add(hidden, 0, summed, 0, num_streams, network.hidden, 0)
        rectify_rows(hidden, 0, 0, np.float32(1.0), summed)
        fill_rows(params, 0, num_streams, network.head_bias)
        multiply_add(params, 0, summed, 0, num_streams, network.head, 0)
        _draw(
            network.num_logits,
            network.log_scale_floor,
            network.is_location,
            streams.previous,
            streams.prediction,
            frames.offsets,
            frame,
            params,
            noise,
            choice,
            i,
            x,
        )
