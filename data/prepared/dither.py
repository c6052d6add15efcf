"""Dither of 16-bit audio, for training and for likelihoods."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_HALF_STEP = 0.5 / 32768  # half a step of 16-bit audio in [-1, 1)


def dither(waveform: Tensor, rng: np.random.Generator) -> Tensor:
    """Add uniform noise of at most half a 16-bit step.

    The noise undoes the rounding: a sample is then anywhere in the interval that rounds to it.
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
