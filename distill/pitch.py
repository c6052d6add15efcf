"""The pitch of a recording, and how far a prediction is from it."""

import torch
import torch.nn.functional as F
from torch import Tensor

from student import ExcitationConfig, Pitch
from student.pitch import BINS_PER_OCTAVE

WINDOW = 512
"""Samples that are compared with those a period later."""
PERIODIC = 0.15
"""Aperiodicity below which a period is taken at once; YIN's absolute threshold."""
VOICED = 0.3
"""Aperiodicity above which the best period counts as none."""
AUDIBLE_DBFS = -55.0
"""Level below which nothing counts as voiced."""
BELL = 0.75
"""Standard deviation of the bell around a measured pitch, in bins."""


@torch.no_grad()
def yin(waveform: Tensor, hop_length: int, config: ExcitationConfig) -> tuple[Tensor, Tensor]:
    r"""Measure the pitch at the end of each frame.

    .. math:: d(\tau) = \sum_{j} (x_j - x_{j+\tau})^2, \qquad
              d'(\tau) = d(\tau) \Big/ \Big(\frac1\tau \sum_{k=1}^{\tau} d(k)\Big)

    The period is the first minimum of d' below a threshold, else the lowest.

    Args:
        waveform: shape (B, 1, L * hop_length); zeros are taken to follow and to precede it.
        hop_length: samples per frame.
        config: range of the pitch and sample rate.
    Returns:
        pitch in Hz, shape (B, L), and whether each is voiced, likewise.
    References:
        YIN, a fundamental frequency estimator for speech and music (de Cheveigné & Kawahara, 2002).
    """
    shortest = int(config.sample_rate / config.fmax_hz)
    longest = int(config.sample_rate / config.fmin_hz) + 2
    reach = WINDOW + longest
    middle = (WINDOW + longest // 2) // 2  # of the samples that a usual period compares
    padded = F.pad(waveform[:, 0].double(), (middle - hop_length, reach))
    frames = padded.unfold(-1, reach, hop_length)[:, : waveform.shape[-1] // hop_length]
    first = frames[..., :WINDOW]
    points = 1 << (reach - 1).bit_length()
    products = torch.fft.rfft(first, n=points).conj() * torch.fft.rfft(frames, n=points)
    correlation = torch.fft.irfft(products, n=points)[..., :longest]
    energy = F.pad(frames.square().cumsum(-1), (1, 0))
    energies = energy[..., WINDOW : WINDOW + longest] - energy[..., :longest]
    difference = (energies[..., :1] + energies - 2 * correlation).clamp(min=0)
    lags = torch.arange(1, longest, dtype=frames.dtype, device=frames.device)
    mean = difference[..., 1:].cumsum(-1) / lags
    aperiodicity = F.pad(difference[..., 1:] / mean.clamp(min=1e-12), (1, 0), value=1.0)
    low, here, high = (aperiodicity[..., shortest + k : longest - 2 + k] for k in range(3))
    candidate = (here < PERIODIC) & (here <= low) & (here < high)
    # argmax finds the first of equals.
    chosen = torch.where(candidate.any(-1), candidate.float().argmax(-1), here.argmin(-1))
    a, b, c = (part.gather(-1, chosen[..., None])[..., 0] for part in (low, here, high))
    curvature = (a - 2 * b + c).clamp(min=1e-9)
    period = chosen + shortest + 1 + (0.5 * (a - c) / curvature).clamp(-0.5, 0.5)
    level = 10 * (energies[..., 0] / WINDOW).clamp(min=1e-12).log10()
    hz = (config.sample_rate / period).clamp(config.fmin_hz, config.fmax_hz)
    return hz.to(waveform.dtype), (b < VOICED) & (level > AUDIBLE_DBFS)


def pitch_loss(pitch: Pitch, hz: Tensor, voiced: Tensor, config: ExcitationConfig) -> Tensor:
    """Measure a prediction of pitch.

    Args:
        pitch: predicted.
        hz: measured, shape (B, L).
        voiced: whether it is voiced, shape (B, L).
        config: range of the pitch.
    Returns:
        in nats, summed: cross-entropy of the voicing, and the mean divergence of the bins from a
        bell around the measured pitch, where voiced.
    """
    voicing = F.binary_cross_entropy_with_logits(pitch.voicing, voiced.to(pitch.voicing))
    position = BINS_PER_OCTAVE * (hz / config.fmin_hz).log2()[:, None]
    bins = torch.arange(pitch.scores.shape[1], device=hz.device)[:, None]
    wanted = (-0.5 * ((bins - position) / BELL).square()).log_softmax(1)
    found = pitch.scores.log_softmax(1)
    divergence = (wanted.exp() * (wanted - found)).sum(1) * voiced
    return voicing + divergence.sum() / voiced.sum().clamp(min=1)
