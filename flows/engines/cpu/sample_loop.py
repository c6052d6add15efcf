"""The compiled loop over samples: `WaveNet.step`, then `Affine`, `Triangular` or `sample_mixture`.

Streams (utterances of a batch) run in lockstep through each layer (`flows.engines.cpu.layer_pass`),
so each weight is read once for all streams. Two threads can share a network: each runs the loop.
"""

from collections.abc import Callable

import numba
import numpy as np

from flows.engines.compiling import announce
from flows.engines.cpu.activations import bounded_scale, rectify_rows
from flows.engines.cpu.arrays import Exchange, Frames, Network, Samples, Streams
from flows.engines.cpu.instructions.intrinsics import (
    CONTRACT,
    borrow,
    compiled_inside,
    whole_vectors,
)
from flows.engines.cpu.instructions.products import holds_pairs
from flows.engines.cpu.kernels import fill_rows, multiply_add
from flows.engines.cpu.layer_pass import pass_layers, start_skips, sum_up
from flows.engines.cpu.long_term import predict_pitch
from flows.engines.cpu.tiles import begin_amx, end_amx


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def _read(
    streams: Streams, frames: Frames, frame: int, error_gain: np.float32
) -> None:  # pragma: no cover
    """Predict the next samples linearly, and write the network's inputs.

    Reads the last samples in `streams.previous`. Writes `streams.inputs`: the last sample, the
    prediction of the next sample, and the error of the last prediction times `error_gain`. Keeps
    the prediction in `streams.prediction`, and the last samples, oldest first, in `streams.recent`.
    Without linear prediction, the last sample is the only input.
    """
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
    floor = np.float32(np.exp(network.log_scale_floor))
    for b in range(num_streams):
        params, prediction = streams.params[b], streams.prediction[b]
        deviations, drawn = streams.deviations[b], streams.previous[b]
        # Slices: the loop over a row then runs in vector registers, see `long_term`.
        for p in range(num_params):
            row, offsets = params[p * channels : (p + 1) * channels], frames.offsets[b, frame, p]
            gain = network.is_location[p]
            for c in range(channels):
                row[c] += offsets[c] + gain * prediction[c]
        for c in range(channels):
            k = num_logits
            if num_logits:
                k += _component(params[c::channels][:num_logits], samples.choice[b, c, i])
            scale = bounded_scale(params[(k + components) * channels + c], floor)
            deviations[c] = samples.noise[b, c, i] * scale
            drawn[c] = params[k * channels + c]
        if is_triangular:
            for j in range(channels):
                row, earlier = params[(2 + j) * channels : (3 + j) * channels], deviations[j]
                for c in range(channels):
                    deviations[c] += row[c] * earlier if c > j else np.float32(0.0)
        for c in range(channels):
            drawn[c] += deviations[c]
            samples.x[b, c, i] = drawn[c]


def _loop(parts: int) -> Callable[..., None]:
    """Return the compiled loop that each of `parts` threads runs.

    The loop draws samples of a chunk, one after the other. Its arguments are:

        network: this thread's weights. If two threads share the network, both must run at once.
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
        begin_amx(streams.amx)
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
            multiply_add(rows, row, streams.inputs, 0, num_streams, network.first, 0, streams.amx)
            start_skips(network, streams, exchange, time)
            row = pass_layers(network, streams, exchange, frames, parts, time, frame, here, row)
            sum_up(network, streams, exchange, time, row)
            fill_rows(hidden, 0, num_streams, network.hidden_bias)
            multiply_add(hidden, 0, summed, 0, num_streams, network.hidden, 0, streams.amx)
            rectify_rows(hidden, 0, 0, np.float32(1.0), summed)
            fill_rows(params, 0, num_streams, network.head_bias)
            multiply_add(params, 0, summed, 0, num_streams, network.head, 0, streams.amx)
            _draw(network, streams, frames, frame, samples, i)
        end_amx(streams.amx)

    compiled: Callable[..., None] = loop
    return compiled


advance, advance_together = _loop(1), _loop(2)
"""The loop of a thread that has the network alone, and the loop of each of two threads that share
it. They are two functions, because each takes seconds to compile and most programs need only
one."""

announce(advance, "the loop over samples", 9)
announce(advance_together, "the loop over samples on two threads", 11)
