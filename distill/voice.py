"""How far a student's voice is from what is periodic in a recording."""

import torch
import torch.nn.functional as F
from torch import Tensor

from distill.spectral import POWER_FLOOR, stft_power
from student.pitch import between_ends

FFT_SIZE, WINDOW = 1024, 480
BAND, STEP = 21, 10
"""Bins of a band, and from one to the next. At 16 kHz a band is 0.33 kHz wide: it holds a harmonic
of most pitches."""
LAGS = (0.98, 0.9867, 0.9933, 1.0, 1.0067, 1.0133, 1.02)
"""In periods; the best one of each band and frame counts. A pitch that is half a percent off, or
glides, is nothing to its own harmonic and all to the twentieth."""
CHANCE = 0.1
"""Of noise, the share of its power taken to pass for periodic at the best lag. Of noise alone 0.3
(at 250 Hz) to 0.4 (at 80 Hz) do; of noise beside as much of a voice, whose lag stands out, hardly
any. With more, noise takes the voice's place in all bands that hold both."""
LEAST_SHARE = 0.01
"""Of a band's power, counted as periodic at least."""
TAPS = 8
"""Samples that one between them is interpolated from."""


def voice_distance(
    voice: Tensor, recording: Tensor, hz: Tensor, voiced: Tensor, sample_rate: int
) -> Tensor:
    r"""Compare the powers of a voice with those of a recording's periodic part, band by band.

    .. math:: \overline{\left|\log P_{k,l}(v) - \log H_{k,l}(x)\right|}

    A distance of whole samples hardly moves a voice once noise of the right power is in its place:
    a little more of it is only more power. Here noise is no substitute.

    Args:
        voice: v, shape (B, 1, T).
        recording: x, same shape.
        hz: pitch at each frame's end, shape (B, L).
        voiced: whether it is voiced, same shape. Frames beside an unvoiced one do not count.
        sample_rate: Hz.
    Returns:
        mean over bands and the frames that count, in nats of power.
    """
    hop = voice.shape[-1] // voiced.shape[1]
    with torch.no_grad():
        wanted = periodic_powers(recording, hz, sample_rate).log()
        edge = F.pad(voiced.to(wanted), (1, 1))
        counts = (edge[:, :-2] * edge[:, 1:-1] * edge[:, 2:])[..., None]
    distance = (band_powers(voice, hop).log() - wanted).abs() * counts
    return distance.sum() / (counts.sum() * wanted.shape[-1]).clamp(min=1)


def band_powers(waveform: Tensor, hop: int) -> Tensor:
    """Mean power of each band around the end of each frame: (B, 1, L * hop) to (B, L, bands)."""
    # The transform's frame k is centred at the end of frame k - 1.
    spectrum = stft_power(waveform, FFT_SIZE, hop, WINDOW)[..., 1:]
    return F.avg_pool1d(spectrum.transpose(1, 2), BAND, STEP) + POWER_FLOOR


@torch.no_grad()
def periodic_powers(waveform: Tensor, hz: Tensor, sample_rate: int) -> Tensor:
    r"""Estimate the power in each band that comes again a period later.

    .. math:: P\big(\tfrac12 (x_t + x_{t \pm \tau})\big) = H + \tfrac12 N, \qquad P(x) = H + N

    Args:
        waveform: x, shape (B, 1, L * hop_length); zeros are taken to precede and to follow it.
        hz: pitch at each frame's end, shape (B, L); it goes linearly from end to end.
        sample_rate: Hz.
    Returns:
        H, shape (B, L, bands), the mean of a period before and a period after.
    """
    samples = waveform.shape[-1]
    hop = samples // hz.shape[1]
    period = sample_rate / between_ends(hz, hop).flatten(1)
    reach = int(max(LAGS) * period.max()) + TAPS
    x, extended = waveform[:, 0], F.pad(waveform[:, 0], (reach, reach))
    time = torch.arange(reach, reach + samples, dtype=hz.dtype, device=hz.device)
    whole = band_powers(waveform, hop)
    shares = []
    for side in (-1, 1):
        means = [(x + _at(extended, time + side * lag * period)) / 2 for lag in LAGS]
        best = torch.stack([band_powers(mean[:, None], hop) for mean in means]).amax(0)
        shares.append(2 * best / whole - 1)
    share = (torch.stack(shares).mean(0) - CHANCE) / (1 - CHANCE)
    return whole * share.clamp(LEAST_SHARE, 1.0)


def _at(x: Tensor, places: Tensor) -> Tensor:
    """Interpolate rows of x (B, S) at places between samples (B, T) by a windowed sinc."""
    before = places.floor()
    taps = torch.arange(1 - TAPS // 2, TAPS // 2 + 1, device=x.device)
    distance = (places - before)[..., None] - taps
    weights = torch.sinc(distance) * torch.cos(torch.pi * distance / (TAPS + 2)).square()
    near = (before.long()[..., None] + taps).flatten(1)
    return (x.gather(1, near).unflatten(1, (-1, TAPS)) * weights).sum(-1)
