"""Speech-like audio made from a seed, for the tests and for a recipe that runs in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter, sosfilt

from data.audio.write import write_waveform

Array = npt.NDArray[np.float64]

# Each formant of an adult voice wanders within its range, in Hz, and has a fixed bandwidth.
_FORMANT_RANGES_HZ = ((300, 800), (900, 2200), (2300, 3000), (3300, 3900))
_FORMANT_BANDWIDTHS_HZ = (80, 100, 140, 200)
_BLOCK_SECONDS = 0.005  # the resonators change from block to block and keep their state
_PEAK = 0.5


def synthesise(
    root: Path,
    *,
    num_utterances: int = 12,
    seconds: float = 1.5,
    sample_rate: int = 16000,
    seed: int = 0,
) -> list[Path]:
    """Write WAV files `clip_000.wav`, … of speech-like sound.

    Args:
        root: folder to write into; made if missing.
        num_utterances: number of files.
        seconds: duration of each file.
        sample_rate: Hz.
        seed: seed of the sounds. The content of a file does not depend on `num_utterances`.
    Returns:
        the paths of the files.
    """
    # With these names, the default shares give each split some of the default 12 files.
    paths = [Path(root) / f"clip_{index:03d}.wav" for index in range(num_utterances)]
    for index, path in enumerate(paths):
        rng = np.random.default_rng([seed, index])
        write_waveform(
            path, speech_like(round(seconds * sample_rate), sample_rate, rng), sample_rate
        )
    return paths


def speech_like(num_samples: int, sample_rate: int, rng: np.random.Generator) -> Array:
    """Draw voiced stretches, noise bursts and pauses, shaped by slowly moving formants.

    Args:
        num_samples: T.
        sample_rate: Hz.
        rng: source of all random choices.
    Returns:
        samples, shape (T,), with a peak of 0.5.
    """
    duration = num_samples / sample_rate
    voicing, noise = _syllables(num_samples, sample_rate, rng)
    f0_hz = _wander(num_samples, duration * 4, 90.0, 180.0, rng)
    phase = np.cumsum(f0_hz / sample_rate)
    pulses = np.diff(np.floor(phase), prepend=0.0)
    # Two real poles give the pulses a slope of −12 dB per octave, as a glottis does.
    glottal = lfilter([1.0], [1.0, -1.8, 0.81], pulses)
    excitation = voicing * glottal + noise * rng.standard_normal(num_samples)
    shaped = _resonate(excitation, sample_rate, duration, rng)
    waveform = shaped + 1e-4 * rng.standard_normal(num_samples)
    return np.asarray(_PEAK * waveform / np.abs(waveform).max())


def _wander(
    num_points: int, num_knots: float, low: float, high: float, rng: np.random.Generator
) -> Array:
    """Draw a smooth random curve between `low` and `high`."""
    knots = rng.uniform(low, high, int(num_knots) + 2)
    position: Array = np.linspace(0, len(knots) - 1, num_points)
    left = np.minimum(position.astype(int), len(knots) - 2)
    weight = 0.5 - 0.5 * np.cos(np.pi * (position - left))
    return np.asarray(knots[left] * (1 - weight) + knots[left + 1] * weight)


def _syllables(num_samples: int, sample_rate: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw envelopes of voicing and noise: syllables of a burst and a vowel, and some pauses."""
    voicing, noise = np.zeros(num_samples), np.zeros(num_samples)
    start = int(0.03 * sample_rate)
    while start < num_samples:
        burst = int(rng.uniform(0.03, 0.08) * sample_rate)
        vowel = int(rng.uniform(0.10, 0.30) * sample_rate)
        pause = int(rng.choice([0.0, 0.0, 0.08]) * sample_rate)
        _add_hump(noise, start, burst, rng.uniform(0.5, 2.0))
        _add_hump(voicing, start + burst // 2, vowel, rng.uniform(0.5, 1.0))
        start += burst // 2 + vowel + pause
    return voicing, noise


def _add_hump(envelope: Array, start: int, length: int, height: float) -> None:
    hump = height * np.sqrt(np.hanning(length + 2)[1:-1])
    stretch = envelope[start : start + length]
    stretch += hump[: len(stretch)]


def _resonate(
    excitation: Array, sample_rate: int, duration: float, rng: np.random.Generator
) -> Array:
    """Pass the excitation through a cascade of moving two-pole resonators."""
    block = max(1, round(_BLOCK_SECONDS * sample_rate))
    num_blocks = -(-len(excitation) // block)
    sections = np.zeros((num_blocks, len(_FORMANT_RANGES_HZ), 6))
    for k, (low, high) in enumerate(_FORMANT_RANGES_HZ):
        # Formants must lie below the Nyquist frequency at any sample rate.
        top = min(high, 0.45 * sample_rate)
        centre_hz = _wander(num_blocks, duration * 6, min(low, top), top, rng)
        radius = np.exp(-np.pi * _FORMANT_BANDWIDTHS_HZ[k] / sample_rate)
        feedback = -2 * radius * np.cos(2 * np.pi * centre_hz / sample_rate)
        sections[:, k, 0] = 1 + feedback + radius**2  # unit gain at 0 Hz
        sections[:, k, 3], sections[:, k, 4], sections[:, k, 5] = 1.0, feedback, radius**2
    output = np.empty_like(excitation)
    state = np.zeros((len(_FORMANT_RANGES_HZ), 2))
    for index in range(num_blocks):
        span = slice(index * block, (index + 1) * block)
        output[span], state = sosfilt(sections[index], excitation[span], zi=state)
    return output
