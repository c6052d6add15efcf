"""The spectral envelope of speech: a smooth power spectrum without the harmonics of the pitch."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dsp.interpolation import linear_at

PERIODS = 3
"""Length of the analysis window in pitch periods."""
LEAST_POWER = 1e-10
"""Smallest power of a frequency bin, for signals in [-1, 1]. The dither of a 16-bit file has about
this power."""
SMOOTHING = 0.15
"""Weight of a correction that undoes a part of the smoothing: CheapTrick's constant q1, without its
sign."""


@torch.no_grad()
def spectral_envelope(waveform: Tensor, hz: Tensor, sample_rate: int, lowest_hz: float) -> Tensor:
    r"""Estimate the power spectrum of the filter that a voice or a noise has passed through.

    A voice is a train of pulses at the pitch, which a filter has shaped. The analysis window is
    three periods long, so that the measured power does not depend on the places of the pulses in
    the window. Two averages over frequency remove the harmonics: the power is averaged over two
    thirds of the pitch, then the log-power is averaged over the whole pitch.

    Args:
        waveform: shape (B, 1, L * n), preceded and followed by zeros.
        hz: pitch in Hz at the end of every n samples, shape (B, L); at most a quarter of the sample
            rate. For noise, which has no pitch, give any frequency: it sets the length of the
            window and the width of the averages.
        sample_rate: Hz.
        lowest_hz: lowest pitch in `hz`, in Hz.
    Returns:
        log-power in nats at the frequencies of a transform of F = `envelope_points` points, shape
        (B, L, F / 2 + 1). For white noise, the log-power is about the log of the variance.
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
    """Return the number of points of the transform: a power of 2, at least the longest window."""
    return 1 << math.ceil(math.log2(PERIODS * sample_rate / lowest_hz))


def _smooth(power: Tensor, pitch: Tensor) -> Tensor:
    """Average power around each bin over 2/3 of the pitch; `pitch` is in bins, shape (B, L, 1)."""
    bins = torch.arange(power.shape[-1], device=power.device).to(power).expand(power.shape)
    # Between 0 Hz and the pitch lies one half of the first harmonic's peak, and there is no peak at
    # 0 Hz. The mirror image of that half takes its place.
    mirrored = linear_at(power, (pitch - bins).clamp(min=0))
    power = torch.where(bins < pitch, power + mirrored, power)
    reach = (power.shape[-1] - 1) // 6 + 1  # for the highest pitch; `pitch` may be on a GPU
    low, high = power[..., 1 : reach + 1].flip(-1), power[..., -reach - 1 : -1].flip(-1)
    integral = F.pad(torch.cat([low, power, high], -1).cumsum(-1), (1, 0))
    middle = bins + reach + 0.5
    whole = linear_at(integral, middle + pitch / 3) - linear_at(integral, middle - pitch / 3)
    return whole / (pitch * 2 / 3)
