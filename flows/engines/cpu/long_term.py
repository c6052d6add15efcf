"""The compiled step of `flows.PitchPrediction`: choose taps from the past, then predict."""

import numba
import numpy as np

from flows.engines.cpu.arrays import Frames, Network, Streams
from flows.engines.cpu.intrinsics import CONTRACT, compiled_inside, whole_vectors


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy")
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
    for k in range(num_lags):
        taps[k] = np.float32(0.0)
    for j in range(longest):  # the last `longest` samples, times the samples one lag earlier
        value = history[longest + j]
        for k in range(num_lags):
            taps[k] += value * history[j + k]
    energy, earlier = 0.0, 0.0
    for j in range(longest):
        energy += np.float64(history[longest + j]) ** 2
        earlier += np.float64(history[j]) ** 2
    highest = -np.inf
    for k in range(num_lags):
        similarity = taps[k] / np.sqrt(max(earlier, 0.0) * energy + least_energy)
        taps[k] = similarity
        highest = max(highest, sharpness[0] * similarity + biases[k])
        earlier += np.float64(history[longest + k]) ** 2 - np.float64(history[k]) ** 2
    total, periodicity = 0.0, 0.0
    for k in range(num_lags):
        similarity = np.float64(taps[k])
        weight = np.exp(np.float64(sharpness[0] * taps[k] + biases[k]) - highest)
        total += weight
        periodicity += weight * similarity
        taps[k] = weight
    periodicity /= total
    logit = sharpness[1] * periodicity + sharpness[2] + biases[num_lags]
    scale = 1.0 / (total * (1.0 + np.exp(-logit)))
    for k in range(num_lags):
        taps[k] = np.float32(taps[k] * scale)


@numba.njit(cache=True, fastmath=CONTRACT | {"reassoc"}, error_model="numpy")
def _filtered(taps: np.ndarray, history: np.ndarray, first: int) -> np.float32:  # pragma: no cover
    """Sum the products of taps and past samples. The compiler chooses the order of the sum."""
    whole_vectors()
    total = np.float32(0.0)
    for k in range(taps.size):
        total += taps[k] * history[first + k]
    return total


@compiled_inside()
def predict_pitch(
    network: Network, streams: Streams, frames: Frames, frame: int, time: int
) -> None:  # pragma: no cover
    """Append the last C samples to every stream's history, predict the next C, write the inputs."""
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
            predicted = _filtered(taps, history, longest + c)
            streams.prediction[b, c] = streams.inputs[b, channels + c] = predicted
