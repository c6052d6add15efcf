"""The spectral envelope of speech: a smooth power spectrum without the harmonics of the pitch."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dsp.interpolation import linear_at

PERIODS = 3
"""Length of the analysis window in pitch periods."""
LEAST_POWER = 1e-10
"""The smallest power of a frequency bin, for signals in [-1, 1]: about the power of the dither of
16-bit files."""
SMOOTHING = 0.15
"""CheapTrick's q1 without its sign: the weight that undoes part of the smoothing over 2/3 of the
pitch."""


@torch.no_grad()
def spectral_envelope(waveform: Tensor, hz: Tensor, sample_rate: int, lowest_hz: float) -> Tensor:
    r"""Estimate the power spectrum of a filter whose input is pulses at the pitch, or noise.

    A window of three periods holds equal power at every position in the period. Smoothing the
    spectrum over two thirds of the pitch, and its logarithm over the whole pitch, removes the
    harmonics.

    Args:
        waveform: shape (B, 1, L * n), preceded and followed by zeros.
        hz: pitch at the end of every n samples, in Hz, shape (B, L); at most a quarter of the
            sample rate. In unvoiced frames, the frequency distance that the spectrum is smoothed
            over.
        sample_rate: Hz.
        lowest_hz: lowest pitch in `hz`.
    Returns:
        log-power in nats at the frequencies of a transform of F = `envelope_points` points, shape
        (B, L, F / 2 + 1). White noise has the log of its variance at every frequency.
    References:
        CheapTrick, a spectral envelope estimator for high-quality speech synthesis (Morise, 2015).
    """
    points, wanted = envelope_points(sample_rate, lowest_hz), waveform.dtype
    half = points // 2
    hz, span = hz.double()[..., None], waveform.shape[-1] // hz.shape[1]
    around = F.pad(waveform[:, 0].double(), (half, half)).unfold(-1, points, span)[:, 1:]
    around = around[:, : hz.shape[1]]  # the first window's centre is the end of the first n samples
    time = (torch.arange(points, device=hz.device).double() - half) / sample_rate
    turn = (time * hz * 2 / PERIODS).clamp(-1, 1)
    window = 0.5 + 0.5 * torch.cos(torch.pi * turn)
    window = window / window.square().sum(-1, keepdim=True).sqrt()
    pieces = around * window
    pieces = pieces - window * (pieces.sum(-1) / window.sum(-1))[..., None]
    power = torch.fft.rfft(pieces).abs().square()
    smooth = _smooth(power, hz * points / sample_rate).clamp(min=LEAST_POWER)
    quefrency = torch.arange(points, device=hz.device).double()
    quefrency = torch.minimum(quefrency, points - quefrency) / sample_rate
    over_pitch = torch.sinc(hz * quefrency)
    back = 1 + 2 * SMOOTHING - 2 * SMOOTHING * torch.cos(2 * math.pi * hz * quefrency)
    envelope = torch.fft.rfft(torch.fft.irfft(smooth.log()) * over_pitch * back).real
    return envelope.to(wanted)


def envelope_points(sample_rate: int, lowest_hz: float) -> int:
    """Return the smallest power of 2 of samples that holds a window at the lowest pitch."""
    return 1 << math.ceil(math.log2(PERIODS * sample_rate / lowest_hz))


def _smooth(power: Tensor, pitch: Tensor) -> Tensor:
    """Average power around each bin over 2/3 of the pitch; `pitch` is in bins, shape (B, L, 1)."""
    bins = torch.arange(power.shape[-1], device=power.device).to(power).expand(power.shape)
    # Below the pitch the spectrum holds one half of the first harmonic: add its mirror image.
    mirrored = linear_at(power, (pitch - bins).clamp(min=0))
    power = torch.where(bins < pitch, power + mirrored, power)
    reach = (power.shape[-1] - 1) // 6 + 1  # for the highest pitch; not read from a GPU
    low, high = power[..., 1 : reach + 1].flip(-1), power[..., -reach - 1 : -1].flip(-1)
    integral = F.pad(torch.cat([low, power, high], -1).cumsum(-1), (1, 0))
    middle = bins + reach + 0.5
    whole = linear_at(integral, middle + pitch / 3) - linear_at(integral, middle - pitch / 3)
    return whole / (pitch * 2 / 3)
