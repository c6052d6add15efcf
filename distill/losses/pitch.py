"""Measurement of a recording's pitch and pulses, and the loss of a predicted pitch."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from dsp.pitch import yin
from dsp.pitch_path import pitch_path
from dsp.pulses import residual_energy
from student import ExcitationConfig, MeasuredVoice, Pitch
from student.voice.pitch_predictor import BINS_PER_OCTAVE

BELL = 0.75
"""Standard deviation, in bins, of the target distribution: a Gaussian at the measured pitch."""


def measured_voice(recording: Tensor, hop_length: int, config: ExcitationConfig) -> MeasuredVoice:
    """Measure pitch, voicing and pulses of recordings.

    The voicing is YIN's. The pitch is that of `pitch_path`, which has smaller and fewer errors.

    Args:
        recording: waveforms, shape (B, 1, T), at the configuration's sample rate.
        hop_length: samples per conditioning frame.
        config: range of the pitch.
    """
    how = (config.sample_rate, hop_length, config.fmin_hz, config.fmax_hz)
    _, voiced = yin(recording, *how)
    return MeasuredVoice(pitch_path(recording, *how), voiced, residual_energy(recording))


def pitch_loss(
    pitch: Pitch,
    hz: Tensor,
    voiced: Tensor,
    config: ExcitationConfig,
    total: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Return the loss of a predicted pitch and voicing.

    Args:
        pitch: predicted pitch and voicing.
        hz: measured pitch, shape (B, L).
        voiced: measured voicing, shape (B, L).
        config: range of the pitch.
        total: see `multi_resolution_stft`. The processes that share a batch have different numbers
            of voiced frames.
    Returns:
        loss in nats, scalar: the cross-entropy of the voicing, plus the divergence of the predicted
        bins from a Gaussian at the measured pitch, averaged over voiced frames.
    """
    voicing = F.binary_cross_entropy_with_logits(pitch.voicing, voiced.to(pitch.voicing))
    position = BINS_PER_OCTAVE * (hz / config.fmin_hz).log2()[:, None]
    bins = torch.arange(pitch.scores.shape[1], device=hz.device)[:, None]
    wanted = (-0.5 * ((bins - position) / BELL).square()).log_softmax(1)
    found = pitch.scores.log_softmax(1)
    divergence = ((wanted.exp() * (wanted - found)).sum(1) * voiced).sum()
    count = voiced.sum().to(divergence)
    if total is not None:
        divergence, count = total(torch.stack([divergence, count]))
    return voicing + divergence / count.clamp(min=1)
