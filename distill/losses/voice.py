"""Distance of the filters of a student's voice from the spectra of a recording."""

from typing import NamedTuple

import torch
from torch import Tensor

from dsp.cepstrum import log_power_spectra
from dsp.envelope import spectral_envelope
from dsp.interpolation import between_ends
from dsp.periodicity import LEAST_SHARE, periodic_share, share_of_bins
from student.voice.filters import SourceFilters

LEAST_REST = 1e-4
"""Smallest aperiodic share of a band's power."""
NOISE_HZ = 500.0
"""Largest pitch, Hz, for which the envelope of noise is computed. WORLD also uses 500 Hz."""
NOISE_BIAS = 0.27
"""Bias of the envelope of noise, nats: the median envelope lies this far below the power of the
noise, at every resolution (measured)."""


class SourceSpectra(NamedTuple):
    """Log-power spectra of a recording at N places, nats, shape (B, N, bins) each."""

    voice: Tensor
    """Spectrum of the periodic part; the target of the voice's filter at voiced places."""
    breath: Tensor
    """Spectrum of the aperiodic part; the target of the noise's filter at voiced places."""
    noise: Tensor
    """Spectrum of the whole recording; the target of the noise's filter at unvoiced places."""
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
    r"""Split the spectrum of a recording into a periodic part H and an aperiodic part A.

    .. math:: H = E\,(1 - a^2), \qquad A = E\,a^2

    E is the spectral envelope. At unvoiced places it is computed as for a pitch of `NOISE_HZ`, or
    of sample_rate / 32 if that is lower. a is the share of a band's power that does not repeat one
    period later. A voice with a moving pitch does not repeat exactly, so a is above 0 even without
    noise. The square of a is small in bands that are mostly periodic. We filtered pulses and noise
    by the spectra of eight utterances: DistillMOS is 3.48 with the square of a, 3.25 with a itself,
    3.46 with WORLD's aperiodicity, and 3.78 for the recordings.

    Args:
        recording: x, shape (B, 1, T).
        hz: pitch at each frame's end, shape (B, L).
        voiced: whether each frame's end is voiced, shape (B, L).
        filters_per_frame: places in each frame, S, evenly spaced; the last place is the frame's
            end. N = L * S.
        sample_rate: Hz.
        lowest_hz: lowest possible pitch.
    Returns:
        log-powers in nats at the bins of `spectral_envelope`, shape (B, N, bins) each, without
        gradient: log H, log A and log E + `NOISE_BIAS`, where a² is at least `LEAST_REST` and at
        most 1 - `LEAST_SHARE`²; and the voicing of each place.
    """
    gain = between_ends(voiced.to(hz), filters_per_frame).flatten(1)
    sounds = gain >= 0.5
    pitch = between_ends(hz, filters_per_frame).flatten(1)
    resolved = torch.where(sounds, pitch, min(NOISE_HZ, sample_rate / 32))
    envelope = spectral_envelope(recording, resolved, sample_rate, lowest_hz)
    share = periodic_share(recording, hz, sample_rate, lowest_hz)
    bands = between_ends(share.transpose(1, 2).flatten(0, 1), filters_per_frame)
    share = bands.flatten(1).unflatten(0, (hz.shape[0], -1)).transpose(1, 2)
    share = share_of_bins(share, envelope.shape[-1])
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
        edge: number of places at each end of a clip that do not count, because the audio beyond the
            clip is unknown.
        sample_rate: Hz.
    Returns:
        mean distance over the places, nats of power, scalar. Frequencies are weighted as on the mel
        scale. The distance at a voiced place is the mean of the distances of voice and breath. The
        distance at an unvoiced place is the distance of the noise.
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
