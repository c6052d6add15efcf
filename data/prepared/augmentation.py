"""Random changes of training data: dither and changes of level."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from dsp.mel import MelConfig

LARGEST_GAIN_DB = 60.0
"""Largest random change of a segment's level, decibels."""

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
