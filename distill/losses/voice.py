"""Distance of the filters of a student's voice from the spectra of a recording."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from distill.losses.spectral import POWER_FLOOR, stft_power
from dsp.envelope import spectral_envelope
from student.voice.filters import SourceFilters, log_power_spectra
from student.voice.pitch_predictor import between_ends

FFT_SIZE, WINDOW = 1024, 480
BAND, STEP = 21, 10
"""Width of a band and distance from one band to the next, in bins. At 16 kHz a band is 0.33 kHz
wide. Such a band holds a harmonic of most pitches."""
LAGS = (0.98, 0.9867, 0.9933, 1.0, 1.0067, 1.0133, 1.02)
"""Lags at which a signal is compared with itself, in periods. The best lag of each band and frame
counts. A pitch that glides, or is half a percent off, hardly matters to the first harmonic, but the
twentieth harmonic no longer matches at all."""
CHANCE = 0.1
"""Share of a noise's power that is assumed to look periodic by chance at the best lag. Noise alone
reaches a periodicity of 0.3 (at 250 Hz) to 0.4 (at 80 Hz). Noise mixed with an equally loud voice
hardly looks periodic, because the lag of the voice stands out. With a larger constant, noise takes
the voice's place in every band that holds both."""
LEAST_SHARE = 0.01
"""Smallest periodic share of a band's power."""
LEAST_REST = 1e-4
"""Smallest aperiodic share of a band's power."""
NOISE_HZ = 500.0
"""Largest pitch, Hz, for which the envelope of noise is computed. WORLD also uses 500 Hz."""
NOISE_BIAS = 0.27
"""Bias of the envelope of noise, nats: the median envelope lies this far below the power of the
noise, at every resolution (measured)."""
TAPS = 8
"""Number of samples from which a value between two samples is interpolated."""


class SourceSpectra(NamedTuple):
    """Log-power spectra of a recording at N places, nats, shape (B, N, bins) each."""

    voice: Tensor
    """Spectrum of the periodic part; counts at voiced places."""
    breath: Tensor
    """Spectrum of the aperiodic part; counts at voiced places."""
    noise: Tensor
    """Spectrum of the whole recording; counts at unvoiced places."""
    voiced: Tensor
    """Whether each place is voiced, shape (B, N)."""


@torch.no_grad()
def source_spectra(
    recording: Tensor,
    hz: Tensor,
    voiced: Tensor,
    filters_per_frame: int,
    sample_rate: int,
    lowest_hz: float,
) -> SourceSpectra:
    r"""Split the spectrum of a recording into a periodic part H and an aperiodic part N.

    .. math:: H = E\,(1 - a^2), \qquad N = E\,a^2

    E is the spectral envelope, and a is the share of a band's power that does not repeat one period
    later. A voice with a moving pitch does not repeat exactly, so a is above 0 without any noise.
    Squaring a leaves little noise in bands that are mostly periodic. We filtered pulses and noise
    by the spectra of eight utterances: DistillMOS is 3.48 with the square of a, 3.25 with a itself,
    3.46 with WORLD's aperiodicity, and 3.78 for the recordings.

    Args:
        recording: x, shape (B, 1, T).
        hz: pitch at each frame's end, shape (B, L).
        voiced: whether each frame's end is voiced, shape (B, L).
        filters_per_frame: places in each frame, S; the last place is the frame's end. N = L * S.
        sample_rate: Hz.
        lowest_hz: lowest possible pitch.
    Returns:
        spectra at the bins of `spectral_envelope`.
    """
    gain = between_ends(voiced.to(hz), filters_per_frame).flatten(1)
    sounds = gain >= 0.5
    pitch = between_ends(hz, filters_per_frame).flatten(1)
    resolved = torch.where(sounds, pitch, min(NOISE_HZ, sample_rate / 32))
    envelope = spectral_envelope(recording, resolved, sample_rate, lowest_hz)
    share = periodic_share(recording, hz, sample_rate, lowest_hz)
    bands = between_ends(share.transpose(1, 2).flatten(0, 1), filters_per_frame)
    share = bands.flatten(1).unflatten(0, (hz.shape[0], -1)).transpose(1, 2)
    bins = envelope.shape[-1]
    place = torch.arange(bins, dtype=share.dtype, device=share.device) / (bins - 1)
    place = (place * FFT_SIZE / 2 - BAND // 2) / STEP
    place = place.clamp(0, share.shape[-1] - 1)
    before = place.floor().long().clamp(max=share.shape[-1] - 2)
    share = torch.lerp(share[..., before], share[..., before + 1], place - before)
    rest = (1 - share).square().clamp(LEAST_REST, 1 - LEAST_SHARE**2)
    return SourceSpectra(
        envelope + (1 - rest).log(), envelope + rest.log(), envelope + NOISE_BIAS, sounds
    )


def filters_distance(
    filters: SourceFilters, spectra: SourceSpectra, edge: int, sample_rate: int
) -> Tensor:
    r"""Compare filters with target spectra.

    .. math:: \overline{\left|2 \log|H| - \log P\right|}

    Args:
        filters: filters at N places, shape (B, N, K + 1).
        spectra: target spectra at these N places.
        edge: number of places at either end of a clip that do not count, because the audio beyond
            the clip is unknown.
        sample_rate: Hz.
    Returns:
        mean distance over the places, nats of power, scalar. Frequencies are weighted as on the mel
        scale. A voiced place has half the distance of the voice plus half the distance of the
        breath; an unvoiced place has the distance of the noise.
    """
    bins = spectra.voice.shape[-1]
    inside = slice(edge, spectra.voiced.shape[1] - edge)
    hz = torch.linspace(0, sample_rate / 2, bins, device=spectra.voice.device)
    warped = 1 / (1 + hz / 700)
    voiced = spectra.voiced[:, inside, None].to(warped)
    total = spectra.voice.new_zeros(())
    for raw, wanted, share in zip(
        filters, spectra[:3], (0.5 * voiced, 0.5 * voiced, 1 - voiced), strict=True
    ):
        if not raw.shape[-1]:
            continue
        found = log_power_spectra(raw[:, inside], 2 * bins - 2)
        distance = (found - wanted[:, inside]).abs() * warped / warped.mean()
        total = total + (distance * share).mean()
    return total


def band_powers(waveform: Tensor, hop: int) -> Tensor:
    """Compute each band's mean power at the end of each frame: (B, 1, L * hop) to (B, L, bands)."""
    # Frame k of the transform is centred at the end of signal frame k - 1.
    spectrum = stft_power(waveform, FFT_SIZE, hop, WINDOW)[..., 1:]
    return F.avg_pool1d(spectrum.transpose(1, 2), BAND, STEP) + POWER_FLOOR


@torch.no_grad()
def periodic_share(waveform: Tensor, hz: Tensor, sample_rate: int, lowest_hz: float) -> Tensor:
    r"""Estimate the share of each band's power that repeats one period later, H / P(x).

    .. math:: P\big(\tfrac12 (x_t + x_{t \pm \tau})\big) = H + \tfrac12 N, \qquad P(x) = H + N

    Args:
        waveform: x, shape (B, 1, L * hop_length), padded with zeros on both sides.
        hz: pitch at each frame's end, shape (B, L), interpolated linearly between ends.
        sample_rate: Hz.
        lowest_hz: lowest possible pitch.
    Returns:
        shares, shape (B, L, bands). Each share is the mean of two comparisons: with the signal one
        period earlier and with the signal one period later.
    """
    samples = waveform.shape[-1]
    hop = samples // hz.shape[1]
    period = sample_rate / between_ends(hz, hop).flatten(1).clamp(min=lowest_hz)
    reach = int(max(LAGS) * sample_rate / lowest_hz) + TAPS  # needs no sync with the device
    x, extended = waveform[:, 0], F.pad(waveform[:, 0], (reach, reach))
    time = torch.arange(reach, reach + samples, dtype=hz.dtype, device=hz.device)
    whole = band_powers(waveform, hop)
    shares = []
    for side in (-1, 1):
        means = [(x + _at(extended, time + side * lag * period)) / 2 for lag in LAGS]
        best = torch.stack([band_powers(mean[:, None], hop) for mean in means]).amax(0)
        shares.append(2 * best / whole - 1)
    share = (torch.stack(shares).mean(0) - CHANCE) / (1 - CHANCE)
    return share.clamp(LEAST_SHARE, 1.0)


def _at(x: Tensor, places: Tensor) -> Tensor:
    """Interpolate rows of x (B, S) at fractional indices (B, T) by a windowed sinc."""
    before = places.floor()
    taps = torch.arange(1 - TAPS // 2, TAPS // 2 + 1, device=x.device)
    distance = (places - before)[..., None] - taps
    weights = torch.sinc(distance) * torch.cos(torch.pi * distance / (TAPS + 2)).square()
    near = (before.long()[..., None] + taps).flatten(1)
    return (x.gather(1, near).unflatten(1, (-1, TAPS)) * weights).sum(-1)
