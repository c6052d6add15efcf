"""The spectral envelope of speech, between the harmonics of its pitch."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

PERIODS = 3
"""That a window is long."""
LEAST_POWER = 1e-10
"""About that of the dither of 16-bit files."""
SMOOTHING = 0.15
"""CheapTrick's q1: how much of the smoothing over 2/3 of the pitch is taken back."""


@torch.no_grad()
def spectral_envelope(waveform: Tensor, hz: Tensor, sample_rate: int, lowest_hz: float) -> Tensor:
    r"""Estimate the power spectrum of a filter that pulses at the pitch, or noise, went through.

    A window of three periods sees the same power wherever it stands; smoothing over two thirds of
    the pitch, then once more over all of it, leaves nothing of the harmonics.

    Args:
        waveform: shape (B, 1, L * n); zeros are taken to precede and to follow it.
        hz: pitch at the end of each n samples, or what is to be resolved, shape (B, L); at most a
            quarter of the rate.
        sample_rate: Hz.
        lowest_hz: of any pitch.
    Returns:
        log-power at the frequencies of a transform of F = `envelope_points` points, nats, such that
        white noise has that of its variance; shape (B, L, F / 2 + 1).
    References:
        CheapTrick, a spectral envelope estimator for high-quality speech synthesis (Morise, 2015).
    """
    points, wanted = envelope_points(sample_rate, lowest_hz), waveform.dtype
    half = points // 2
    hz, span = hz.double()[..., None], waveform.shape[-1] // hz.shape[1]
    around = F.pad(waveform[:, 0].double(), (half, half)).unfold(-1, points, span)[:, 1:]
    around = around[:, : hz.shape[1]]  # the first is centred at the end of the first n samples
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
    """Return a power of 2 of samples that hold a window at the lowest pitch."""
    return 1 << math.ceil(math.log2(PERIODS * sample_rate / lowest_hz))


def _smooth(power: Tensor, pitch: Tensor) -> Tensor:
    """Average power over 2/3 of the pitch, in bins (B, L, 1), around each of the bins."""
    bins = torch.arange(power.shape[-1], device=power.device).to(power).expand(power.shape)
    # What a window sees below the pitch is half of the first harmonic: its mirror image fills up.
    mirrored = _at(power, (pitch - bins).clamp(min=0))
    power = torch.where(bins < pitch, power + mirrored, power)
    reach = (power.shape[-1] - 1) // 6 + 1  # the highest pitch of all: the host need not ask
    low, high = power[..., 1 : reach + 1].flip(-1), power[..., -reach - 1 : -1].flip(-1)
    integral = F.pad(torch.cat([low, power, high], -1).cumsum(-1), (1, 0))
    middle = bins + reach + 0.5
    return (_at(integral, middle + pitch / 3) - _at(integral, middle - pitch / 3)) / (pitch * 2 / 3)


def _at(values: Tensor, places: Tensor) -> Tensor:
    """Interpolate linearly between values (..., S) at places (..., N)."""
    before = places.floor().clamp(0, values.shape[-1] - 2)
    index = before.long()
    return torch.lerp(values.gather(-1, index), values.gather(-1, index + 1), places - before)
