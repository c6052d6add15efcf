"""Random changes of training data: dither, changes of level, and tones instead of recordings."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dsp.mel import MelConfig, log_mel

LARGEST_GAIN_DB = 60.0
"""Largest random change of a segment's level, decibels."""

LOWEST_TONE_HZ = 80.0
"""Lowest frequency of a synthetic tone. The highest is 0.45 of the sample rate."""

_HALF_STEP = 0.5 / 32768  # half a step of 16-bit audio in [-1, 1)


def dither(waveform: Tensor, rng: np.random.Generator) -> Tensor:
    """Spread 16-bit samples evenly over the interval that was rounded to each sample.

    Without dither, the likelihood of digital silence has no upper bound: a model of the samples'
    density only has to narrow.

    Args:
        waveform: float samples in [-1, 1], any shape.
        rng: source of the noise.
    Returns:
        the waveform plus uniform noise within half a 16-bit step, of the waveform's type and
        device.
    """
    noise = torch.from_numpy(rng.uniform(-_HALF_STEP, _HALF_STEP, tuple(waveform.shape)))
    return waveform + noise.to(waveform)


def with_gain(
    waveform: Tensor, features: Tensor, gain_db: float, mel: MelConfig
) -> tuple[Tensor, Tensor]:
    """Change the level of a piece and of its log-mel.

    Args:
        waveform: samples in [-1, 1], shape (1, T).
        features: log-mel bands, and rows below the bands, which do not change, shape (M, L).
        gain_db: change of level; reduced if the waveform would leave [-1, 1].
        mel: convention of the log-mel.
    Returns:
        the waveform and the features, of unchanged shapes.
    """
    peak = float(waveform.abs().max())
    gain = min(10 ** (gain_db / 20), 1.0 / max(peak, 1e-9)) if gain_db > 0 else 10 ** (gain_db / 20)
    louder = features.clone()
    bands = louder[: mel.num_mels]
    # The true level of a band at the floor is unknown, so no band goes below the floor.
    louder[: mel.num_mels] = (bands + math.log(gain) / mel.harmonic_scale).clamp(min=mel.silence)
    return waveform * gain, louder


def tone_segment(
    features: Tensor, num_rows: int, margin_frames: int, mel: MelConfig, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Make a segment of tones with the shape of a segment of a recording.

    Speech has no pure tones, so a model of speech draws them too quiet or as noise. Telephone
    prompts have some: beeps and dialled digits.

    Args:
        features: a recording's frames, margins included, shape (M, L + 2 · margin_frames).
        num_rows: number of bands and rows of pitch; the rows of speakers follow, and are kept.
        margin_frames: frames on both sides of the segment.
        mel: convention of the log-mel.
        rng: source of frequencies, levels and durations.
    Returns:
        samples in [-0.5, 0.5], shape (1, L · hop_length), and their features, of the shape of
        `features`, unvoiced; both float32.
    """
    hop, total = mel.hop_length, features.shape[-1]
    waveform = torch.from_numpy(tones(total * hop, mel.sample_rate, rng))[None]
    of_tones = features.clone()
    of_tones[: mel.num_mels] = log_mel(waveform[None], mel)[0]
    of_tones[mel.num_mels + 1 : num_rows] = 0  # the voicing
    return waveform[:, margin_frames * hop : (total - margin_frames) * hop], of_tones


def tones(num_samples: int, sample_rate: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Draw notes one after another, of one or two sinusoids each, some with silence between.

    Args:
        num_samples: T.
        sample_rate: Hz.
        rng: source of all random choices.
    Returns:
        samples in [-0.5, 0.5], shape (T,).
    """
    waveform = np.zeros(num_samples)
    highest = 0.45 * sample_rate
    start = -int(rng.integers(sample_rate // 2))  # a segment may begin within a note
    while start < num_samples:
        length = int(sample_rate * np.exp(rng.uniform(np.log(0.04), np.log(0.6))))
        seconds = np.arange(length) / sample_rate
        pitches = np.exp(rng.uniform(np.log(LOWEST_TONE_HZ), np.log(highest), rng.integers(1, 3)))
        phases = rng.uniform(0, 2 * np.pi, len(pitches))
        note = np.sin(2 * np.pi * pitches * seconds[:, None] + phases).mean(-1)
        ramp = rng.uniform(0.002, 0.05)
        shape = np.minimum(1, np.minimum(seconds, seconds[::-1]) / ramp)
        decay = np.exp(-seconds * rng.uniform(0, 8))
        note *= shape * decay * 0.5 * 10 ** (-rng.uniform(0, 40) / 20)
        first, last = max(start, 0), min(start + length, num_samples)
        if last > first:
            waveform[first:last] = note[first - start : last - start]
        start += length + int(rng.integers(2) * rng.integers(sample_rate // 4))
    return waveform.astype(np.float32)
