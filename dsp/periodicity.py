"""The periodic share of a signal's bands: how much of the power repeats one period later."""

import torch
import torch.nn.functional as F
from torch import Tensor

from dsp.interpolation import SINC_TAPS, between_ends, linear_at, sinc_at
from dsp.stft import POWER_FLOOR, stft_power

FFT_SIZE, WINDOW = 1024, 480
"""Points of the transform, and samples of its window."""
BAND, STEP = 21, 10
"""Width of a band and distance from one band to the next, in bins. At 16 kHz a band is 0.33 kHz
wide. Such a band holds a harmonic of most pitches."""
LAGS = (0.98, 0.9867, 0.9933, 1.0, 1.0067, 1.0133, 1.02)
"""Lags at which a signal is compared with itself, in periods. For each band and frame, the best lag
counts. A single lag would not suffice: if the pitch glides, or is half a percent off, the first
harmonic still matches, but the twentieth harmonic does not."""
CHANCE = 0.1
"""Share of the power of noise that is assumed to look periodic by chance at the best lag. Noise
alone reaches a periodic share of 0.3 (for a pitch of 250 Hz) to 0.4 (80 Hz). Noise mixed with an
equally loud voice hardly looks periodic, because the lag of the voice is then the best lag. A
larger constant would turn voice into noise in every band that contains both."""
LEAST_SHARE = 0.01
"""Smallest periodic share of a band's power."""


def band_powers(waveform: Tensor, hop_length: int) -> Tensor:
    """Compute the mean power of each band at the end of each frame.

    Args:
        waveform: shape (B, 1, L * hop_length), preceded and followed by zeros.
        hop_length: samples per frame.
    Returns:
        powers, at least `POWER_FLOOR`, shape (B, L, bands). A band has `BAND` bins of a transform
        of `FFT_SIZE` points; the next band begins `STEP` bins later.
    """
    # Frame k of the transform is centred at the end of signal frame k - 1.
    spectrum = stft_power(waveform, FFT_SIZE, hop_length, WINDOW)[..., 1:]
    return F.avg_pool1d(spectrum.transpose(1, 2), BAND, STEP) + POWER_FLOOR


@torch.no_grad()
def periodic_share(waveform: Tensor, hz: Tensor, sample_rate: int, lowest_hz: float) -> Tensor:
    r"""Estimate the share of each band's power that repeats one period later, H / P(x).

    .. math:: P\big(\tfrac12 (x_t + x_{t \pm \tau})\big) = H + \tfrac12 N, \qquad P(x) = H + N

    P is the power of a signal in a band, and tau is the period. H is the power of the periodic part
    of x, and N is the power of the aperiodic part.

    Args:
        waveform: x, shape (B, 1, L * hop_length), preceded and followed by zeros.
        hz: pitch at each frame's end, shape (B, L), interpolated linearly between ends.
        sample_rate: Hz.
        lowest_hz: lowest possible pitch.
    Returns:
        shares from `LEAST_SHARE` to 1, shape (B, L, bands), for the bands of `band_powers`. Each
        share is the mean of two comparisons: with the signal one period earlier and with the signal
        one period later.
    """
    samples = waveform.shape[-1]
    hop = samples // hz.shape[1]
    period = sample_rate / between_ends(hz, hop).flatten(1).clamp(min=lowest_hz)
    reach = int(max(LAGS) * sample_rate / lowest_hz) + SINC_TAPS  # needs no sync with the device
    x, extended = waveform[:, 0], F.pad(waveform[:, 0], (reach, reach))
    time = torch.arange(reach, reach + samples, dtype=hz.dtype, device=hz.device)
    whole = band_powers(waveform, hop)
    shares = []
    for side in (-1, 1):
        means = [(x + sinc_at(extended, time + side * lag * period)) / 2 for lag in LAGS]
        best = torch.stack([band_powers(mean[:, None], hop) for mean in means]).amax(0)
        shares.append(2 * best / whole - 1)
    share = (torch.stack(shares).mean(0) - CHANCE) / (1 - CHANCE)
    return share.clamp(LEAST_SHARE, 1.0)


def share_of_bins(share: Tensor, num_bins: int) -> Tensor:
    """Interpolate the share of each band linearly to the bins of a spectrum.

    Args:
        share: shares of the bands of `band_powers`, shape (..., bands).
        num_bins: number of bins, evenly spaced from 0 Hz to half the sample rate.
    Returns:
        shares, shape (..., num_bins). Below the middle of the first band, and above the middle of
        the last band, the share is constant.
    """
    place = torch.arange(num_bins, dtype=share.dtype, device=share.device) / (num_bins - 1)
    place = (place * FFT_SIZE / 2 - BAND // 2) / STEP
    place = place.clamp(0, share.shape[-1] - 1)
    return linear_at(share, place.expand(*share.shape[:-1], num_bins))
