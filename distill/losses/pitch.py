"""Distance of a predicted pitch from the measured pitch."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from student import ExcitationConfig, Pitch
from student.voice.pitch_predictor import BINS_PER_OCTAVE

BELL = 0.75
"""Standard deviation, in bins, of the target distribution: a Gaussian at the measured pitch."""


def pitch_loss(
    pitch: Pitch,
    hz: Tensor,
    voiced: Tensor,
    config: ExcitationConfig,
    total: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Score a predicted pitch and voicing.

    Args:
        pitch: predicted pitch and voicing.
        hz: measured pitch, shape (B, L).
        voiced: measured voicing, shape (B, L).
        config: range of the pitch.
        total: see `multi_resolution_stft`. The processes that share a batch have different numbers
            of voiced frames.
    Returns:
        cross-entropy of the voicing plus, over voiced frames, the mean divergence of the predicted
        bins from a Gaussian at the measured pitch; nats, scalar.
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
