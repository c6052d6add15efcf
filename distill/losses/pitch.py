"""How far a prediction of pitch is from what was measured."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from student import ExcitationConfig, Pitch
from student.voice.pitch_predictor import BINS_PER_OCTAVE

BELL = 0.75
"""Standard deviation of the bell around a measured pitch, in bins."""


def pitch_loss(
    pitch: Pitch,
    hz: Tensor,
    voiced: Tensor,
    config: ExcitationConfig,
    total: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Measure a prediction of pitch.

    Args:
        pitch: predicted.
        hz: measured, shape (B, L).
        voiced: whether it is voiced, shape (B, L).
        config: range of the pitch.
        total: as in `multi_resolution_stft`: the parts of a batch have unequal shares of its voiced
            frames.
    Returns:
        in nats, summed: cross-entropy of the voicing, and the mean divergence of the bins from a
        bell around the measured pitch, where voiced.
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
