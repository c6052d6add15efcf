"""The compiled loop over samples: what `WaveNet.step` and `Affine.inverse` do, many times over.

Streams (utterances of a batch) run in lockstep through each layer, so that a weight is read once
for all of them. A layer of dilation d reads inputs at least d samples old: what its older taps
contribute to the next few samples is known beforehand and computed for all of these at
once, which reads those weights once a block. The order of every sum is fixed: a stream's samples
depend neither on the streams beside it nor on the number of threads.
"""

import numba
import numpy as np

from flows.compiled.kernels import CONTRACT, bounded_log_scale, gated_units, multiply_add
from flows.compiled.layout import Frames, Network, Streams

KERNELS = "84daaad87422"  # digest, see flows.compiled


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy")
def _read(
    network: Network, streams: Streams, frames: Frames, frame: int, inputs: np.ndarray
) -> None:  # pragma: no cover
    """Write the network's inputs: the last sample, the prediction, and the error of the last."""
    num_streams, channels, order = streams.recent.shape
    for b in range(num_streams):
        for c in range(channels):
            value = streams.previous[b, c]
            inputs[b, c] = value
            if order:
                error = value - streams.prediction[b, c]
                predicted = np.float32(0.0)
                for k in range(order):
                    sample = streams.recent[b, c, k + 1] if k + 1 < order else value
                    streams.recent[b, c, k] = sample
                    predicted += sample * frames.coefficients[b, frame, c, k]
                streams.prediction[b, c] = predicted
                inputs[b, channels + c] = predicted
                inputs[b, 2 * channels + c] = np.float32(network.error_gain) * error


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy")
def _start_block(
    network: Network, streams: Streams, frames: Frames, layer: int, time: int, ring: int, gates: int
) -> None:  # pragma: no cover
    """Compute a layer's gates for the block that starts now, but for the taps on current inputs.

    `ring` and `gates` are the layer's first rows there; rows run over streams, then over time.
    """
    num_streams, block = streams.previous.shape[0], streams.blocks[layer]
    frame = time // frames.length - frames.first
    for place in range(block):
        for b in range(num_streams):
            streams.gates[gates + place * num_streams + b] = frames.gates[b, frame, layer]
    taps = network.older.shape[0] // network.dilations.size
    for tap in range(taps):
        slot = (time - (tap + 1) * network.dilations[layer]) % streams.rings[layer]
        multiply_add(
            streams.gates,
            gates,
            streams.rows,
            ring + slot * num_streams,
            num_streams * block,
            network.older,
            layer * taps + tap,
        )


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
    network: Network,
    streams: Streams,
    offsets: np.ndarray,
    params: np.ndarray,
    noise: np.ndarray,
    choice: np.ndarray,
    i: int,
    x: np.ndarray,
) -> None:  # pragma: no cover
    """Draw sample i of every stream: location + scale * noise of its one or chosen component."""
    num_streams, channels, _ = noise.shape
    logits = network.num_logits
    components = (network.is_location.size - logits) // 2
    floor = network.log_scale_floor
    for b in range(num_streams):
        for c in range(channels):
            found = params[b, c::channels]
            for p in range(network.is_location.size):
                found[p] += offsets[b, p, c] + network.is_location[p] * streams.prediction[b, c]
            k = _component(found[:logits], choice[b, c, i]) if logits else 0
            scale = np.exp(bounded_log_scale(found[logits + components + k], floor))
            value = np.float32(noise[b, c, i] * scale + found[logits + k])
            x[b, c, i] = streams.previous[b, c] = value


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
    num_layers, width = network.dilations.size, network.current.shape[2]
    zero, gain = np.float32(0.0), np.float32(network.skip_gain)
    head_width, skips = network.hidden.shape[2], network.skip_channels
    inputs = np.zeros((num_streams, network.first.shape[2]), np.float32)
    gated = np.empty((num_streams, width), np.float32)
    summed = np.empty((num_streams, head_width), np.float32)
    hidden = np.empty((num_streams, network.hidden_bias.size), np.float32)
    params = np.empty((num_streams, network.head_bias.size), np.float32)
    for i in range(num_samples):
        time = start + i
        frame = time // frames.length - frames.first
        _read(network, streams, frames, frame, inputs)
        ring = gates = 0  # first rows of a layer
        here = time % streams.rings[0] * num_streams
        streams.rows[here : here + num_streams] = network.first_bias
        multiply_add(streams.rows, here, inputs, 0, num_streams, network.first, 0)
        for layer in range(num_layers):
            place = time % streams.blocks[layer]
            if place == 0:
                _start_block(network, streams, frames, layer, time, ring, gates)
            now = gates + place * num_streams
            gates += streams.blocks[layer] * num_streams
            ring += streams.rings[layer] * num_streams
            following = ring
            if layer + 1 < num_layers:
                following += time % streams.rings[layer + 1] * num_streams
            multiply_add(
                streams.gates, now, streams.rows, here, num_streams, network.current, layer
            )
            for b in range(num_streams):
                gated_units(streams.gates, now + b, width, gated, b)
                for j in range(network.row_scale.size):
                    kept = network.row_scale[j] * streams.rows[here + b, j]
                    streams.rows[following + b, j] = kept + network.out_bias[layer, j]
            multiply_add(streams.rows, following, gated, 0, num_streams, network.out, layer)
            here = following
        for b in range(num_streams):
            for j in range(head_width):
                value = gain * streams.rows[here + b, width + j if skips else j]
                summed[b, j] = value if value > zero else zero
        hidden[:] = network.hidden_bias
        multiply_add(hidden, 0, summed, 0, num_streams, network.hidden, 0)
        for b in range(num_streams):
            for j in range(head_width):
                value = hidden[b, j]
                summed[b, j] = value if value > zero else zero
        params[:] = network.head_bias
        multiply_add(params, 0, summed, 0, num_streams, network.head, 0)
        _draw(network, streams, frames.offsets[:, frame], params, noise, choice, i, x)
