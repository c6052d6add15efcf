"""How far a prediction of pitch is from what was measured."""

import torch.nn.functional as F
from torch import Tensor

from student import Pitch


def pitch_loss(pitch: Pitch, hz: Tensor, voiced: Tensor) -> Tensor:
    """Measure a prediction of pitch.

    Args:
        pitch: predicted.
        hz: measured, shape (B, L).
        voiced: whether it is voiced, shape (B, L).
    Returns:
        cross-entropy of the voicing in nats and mean distance in octaves where voiced, summed.
    """
    voicing = F.binary_cross_entropy_with_logits(pitch.voicing, voiced.to(pitch.voicing))
    octaves = (pitch.hz / hz).log2().abs() * voiced
    return voicing + octaves.sum() / voiced.sum().clamp(min=1)
