"""The compiled step of `flows.PitchPrediction`: choose taps from the past, then predict."""

import numba
import numpy as np

from flows.engines.cpu.activations import exp_parts
from flows.engines.cpu.arrays import Frames, Network, Streams
from flows.engines.cpu.instructions.intrinsics import CONTRACT, compiled_inside, whole_vectors

_LOWEST = np.float32(-87.0)
"""Exponents below this one give weights of 0 in float32."""

# The compiler may also reorder these functions' sums. Their loops read slices: an index with an
# offset may be negative for all that the compiler knows, and then the loop reads single numbers.
_REORDER = CONTRACT | {"reassoc"}


@numba.njit(cache=True, fastmath=_REORDER, error_model="numpy")
def _correlate(history: np.ndarray, correlation: np.ndarray) -> None:  # pragma: no cover
    """Correlate the last half of `history` with the history at each lag, longest lag first."""
    whole_vectors()
    longest, num_lags = history.size // 2, correlation.size
    recent = history[longest:]
    correlation[:] = np.float32(0.0)
    fours = longest // 4 * 4
    for j in range(0, fours, 4):
        # Four samples for each time that the sums are read and written.
        v0, v1, v2, v3 = recent[j], recent[j + 1], recent[j + 2], recent[j + 3]
        for k in range(num_lags):
            i = j + k
            first = v0 * history[i] + v1 * history[i + 1]
            correlation[k] += first + (v2 * history[i + 2] + v3 * history[i + 3])
    for j in range(fours, longest):
        for k in range(num_lags):
            correlation[k] += recent[j] * history[j + k]


@numba.njit(cache=True, fastmath=_REORDER, error_model="numpy")
def _choose_taps(
    history: np.ndarray,
    biases: np.ndarray,
    sharpness: np.ndarray,
    least_energy: float,
    taps: np.ndarray,
) -> None:  # pragma: no cover
    """Compute one stream's taps as `PitchPrediction.choose_taps` does; the longest lag is first."""
    whole_vectors()
    longest, num_lags = history.size // 2, taps.size
    _correlate(history, taps)
    recent, energy, earlier = history[longest:], 0.0, 0.0
    for j in range(longest):
        energy += np.float64(recent[j]) ** 2
        earlier += np.float64(history[j]) ** 2
    for k in range(num_lags):
        taps[k] /= np.sqrt(np.float32(max(earlier, 0.0) * energy + least_energy))  # similarity
        earlier += np.float64(recent[k]) ** 2 - np.float64(history[k]) ** 2
    highest = np.float32(-np.inf)
    for k in range(num_lags):
        highest = max(highest, sharpness[0] * taps[k] + biases[k])
    total, periodicity = np.float32(0.0), np.float32(0.0)
    for k in range(num_lags):
        exponent = sharpness[0] * taps[k] + biases[k] - highest
        power, series = exp_parts(_LOWEST if exponent < _LOWEST else exponent)
        weight = power * series + power
        total += weight
        periodicity += weight * taps[k]
        taps[k] = weight
    logit = sharpness[1] * (periodicity / total) + sharpness[2] + biases[num_lags]
    scale = np.float32(1.0 / (total * (1.0 + np.exp(-np.float64(logit)))))
    for k in range(num_lags):
        taps[k] *= scale


@numba.njit(cache=True, fastmath=_REORDER, error_model="numpy")
def _filtered(taps: np.ndarray, past: np.ndarray) -> np.float32:  # pragma: no cover
    """Sum the products of taps and as many past samples."""
    whole_vectors()
    total = np.float32(0.0)
    for k in range(taps.size):
        total += taps[k] * past[k]
    return total


@compiled_inside()
def predict_pitch(
    network: Network, streams: Streams, frames: Frames, frame: int, time: int
) -> None:  # pragma: no cover
    """Predict the next C samples from one pitch period earlier; write the network's inputs.

    Reads the last frame in `streams.previous`, appends it to `streams.history`, and chooses new
    weights of the lags, `streams.taps`, when they are due. Writes `streams.inputs`: the last frame,
    the prediction of the next frame, and the error of the last prediction times the network's
    `error_gain`. Keeps the prediction in `streams.prediction`.
    """
    whole_vectors()
    num_streams, channels = streams.previous.shape
    longest, update = network.lags[0], network.lags[2]
    error_gain = np.float32(network.error_gain)
    kept = 2 * longest - channels
    for b in range(num_streams):
        history, taps = streams.history[b], streams.taps[b]
        for j in range(kept):
            history[j] = history[j + channels]
        for c in range(channels):
            value = streams.previous[b, c]
            history[kept + c] = value
            streams.inputs[b, c] = value
            streams.inputs[b, 2 * channels + c] = error_gain * (value - streams.prediction[b, c])
        if time * channels % update == 0:
            biases, least_energy = frames.lag_biases[b, frame], network.least_energy
            _choose_taps(history, biases, network.sharpness, least_energy, taps)
        for c in range(channels):
            predicted = _filtered(taps, history[longest + c : longest + c + taps.size])
            streams.prediction[b, c] = streams.inputs[b, channels + c] = predicted
