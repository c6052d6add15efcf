"""A causal high-pass filter: its impulse response, and filtering block by block."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import fft
from torch import Tensor


def highpass_response(cutoff: float) -> Tensor:
    """Return the beginning of the impulse response of a Butterworth high-pass of order 4.

    Args:
        cutoff: frequency at which the gain is -3 dB, over the sample rate.
    Returns:
        taps, shape (N + 1,), in the default float dtype. They are as long as three periods of the
        cutoff frequency.
    """
    # Two sections of order 2 by the bilinear transform. `scipy.signal` designs and runs the same
    # filter, but takes 0.7 s to load, a quarter of the loading of `generate`.
    taps = np.zeros(math.ceil(3 / cutoff))
    taps[0] = 1.0
    k = math.tan(math.pi * cutoff)
    for angle in (math.pi / 8, 3 * math.pi / 8):
        damping = 2 * math.cos(angle) * k
        a0, a1, a2 = 1 + damping + k * k, 2 * (k * k - 1), 1 - damping + k * k
        taps = np.convolve(taps, (1.0, -2.0, 1.0))[: len(taps)]
        y1 = y2 = 0.0
        for n, x in enumerate(taps):
            y1, y2 = (x - a1 * y1 - a2 * y2) / a0, y1
            taps[n] = y1
    return torch.from_numpy(taps).to(torch.get_default_dtype())


def highpass(extended: Tensor, taps: Tensor) -> Tensor:
    """Filter a signal by the taps of `highpass_response`.

    Args:
        extended: N earlier samples, then the T samples of the signal, shape (B, N + T).
        taps: shape (N + 1,).
    Returns:
        the filtered T samples, shape (B, T).
    """
    past = len(taps) - 1
    samples = extended.shape[-1] - past
    # One transform over all of a long signal is slow: the signal is filtered block by block.
    whole, block = (fft.next_fast_len(n, real=True) for n in (extended.shape[-1], 3 * past))
    points = min(whole, block)
    extended = F.pad(extended, (0, -samples % (points - past)))
    blocks = torch.fft.rfft(extended.unfold(-1, points, points - past))
    spectrum = torch.fft.rfft(taps, n=points)
    # Only the past wraps around; it is cut off.
    filtered: Tensor = torch.fft.irfft(blocks * spectrum, n=points)[..., past:]
    return filtered.flatten(1)[:, :samples]
