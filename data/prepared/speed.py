"""Recordings played faster or slower, in training: voices that the corpus does not have."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import soxr
import torch

from data.audio.decoding import FloatArray
from data.audio.read import from_int16
from dsp.mel import MelConfig, log_mel


def played(
    samples: npt.NDArray[np.int16],
    speed: float,
    first: int,
    num_frames: int,
    mel: MelConfig,
) -> tuple[FloatArray, FloatArray]:
    """Play frames of a recording faster or slower, by resampling: the pitch changes, too.

    A higher speed raises pitch and formants, as in a shorter vocal tract. At a lower speed, nothing
    is left above speed times half of the sample rate.

    Args:
        samples: the whole recording, shape (T,); only the wanted part is read.
        speed: factor on the speed, above 0.
        first: first frame of the played recording.
        num_frames: number of frames; fewer are returned at the end of the recording.
        mel: the convention of the log-mel.
    Returns:
        samples, shape (L * hop_length,); log-mel, shape (num_mels, L), with L at least 1. Beside
        the ends of the recording, the outermost frames lack the neighbouring samples.
    References:
        Audio augmentation for speech recognition (Ko et al., 2015).
    """
    hop, rate = mel.hop_length, mel.sample_rate
    start, stop = (frame * hop * speed for frame in (first, first + num_frames))
    piece = from_int16(samples[math.floor(start) : math.ceil(stop)])
    waveform = soxr.resample(piece, rate * speed, rate).astype(np.float32)
    frames = max(1, min(num_frames, len(waveform) // hop))
    waveform = np.pad(waveform[: frames * hop], (0, max(0, frames * hop - len(waveform))))
    return waveform, log_mel(torch.from_numpy(waveform)[None, None], mel)[0].numpy()


def draw_speeds(rng: np.random.Generator, count: int, change: float) -> list[float]:
    """Draw speeds of clips: a third are 1, a third lower, and a third higher.

    The logarithms of the others are uniform, and at least a third of the largest change: a speed
    nearer to 1 makes no other voice.

    Args:
        rng: source of randomness.
        count: number of clips.
        change: the speeds lie between 1 / (1 + change) and 1 + change; with 0, nothing is drawn.
    """
    if not change:
        return [1.0] * count
    changed = rng.random(count) >= 1 / 3
    exponents = rng.uniform(1 / 3, 1, count) * rng.choice([-1, 1], count)
    return np.where(changed, (1 + change) ** exponents, 1.0).tolist()
