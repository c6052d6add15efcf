"""The pitch of speech, predicted from its conditioning."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flows.precision import full_precision

BINS_PER_OCTAVE = 32
NEIGHBOURS = 2
"""Bins on each side of the best one that have a say."""


class Pitch(NamedTuple):
    """What is predicted of each conditioning frame's end."""

    hz: Tensor
    """Pitch, shape (B, L)."""
    voicing: Tensor
    """Logit of its being voiced, shape (B, L)."""
    scores: Tensor
    """Logits of the bins of `pitch_bins`, shape (B, bins, L); `hz` is read from them."""


class MeasuredVoice(NamedTuple):
    """What a recording shows of its voice, for training."""

    hz: Tensor
    """Pitch at the end of each conditioning frame, shape (B, L)."""
    voiced: Tensor
    """Whether it is voiced, shape (B, L)."""
    energy: Tensor
    """Peaks at the pulses, shape (B, L * hop_length); `data.residual_energy`."""


class PitchPredictor(nn.Module):
    """Choose a bin on a logarithmic scale, then refine it by its neighbours.

    A distance of pitches leads nowhere from the wrong octave; a choice has no such valleys.

    Args:
        channels: of the hidden frames it reads.
        fmin_hz: lowest pitch.
        fmax_hz: highest pitch.
    References:
        CREPE (Kim et al., 2018), sec. 2.1 for pitch as a choice of bins. arXiv:1802.06182
    """

    def __init__(self, channels: int, fmin_hz: float, fmax_hz: float) -> None:
        super().__init__()
        self.fmin_hz, self.fmax_hz = fmin_hz, fmax_hz
        self.hidden = nn.Conv1d(channels, channels, 1)
        self.head = nn.Conv1d(channels, 1 + pitch_bins(fmin_hz, fmax_hz), 1)

    def forward(self, hidden: Tensor) -> Pitch:
        """Predict from hidden frames (B, channels, L)."""
        # Eight bits of a pitch are half a hertz: a phase that drifts away.
        with full_precision(hidden):
            hidden = self.hidden(hidden.to(self.hidden.weight.dtype))
            raw = self.head(F.leaky_relu(hidden, 0.2))
            voicing, scores = raw[:, 0], raw[:, 1:]
            bins = torch.arange(scores.shape[1], device=raw.device)[:, None]
            best = scores.argmax(1, keepdim=True)
            far = (bins - best).abs() > NEIGHBOURS
            weights = scores.masked_fill(far, -torch.inf).softmax(1)
            position = (weights * bins).sum(1)
            hz = self.fmin_hz * torch.exp2(position / BINS_PER_OCTAVE)
        return Pitch(hz.clamp(max=self.fmax_hz), voicing, scores)


def pitch_bins(fmin_hz: float, fmax_hz: float) -> int:
    """Count the bins from the one pitch to the other, both included."""
    return 1 + math.ceil(BINS_PER_OCTAVE * math.log2(fmax_hz / fmin_hz))


def between_ends(ends: Tensor, hop_length: int, before: Tensor | None = None) -> Tensor:
    """Go linearly from the end of each frame to that of the next.

    Args:
        ends: values at the ends of frames, shape (B, L).
        hop_length: samples per frame.
        before: at the start of the first, shape (B, 1); default: as it ends.
    Returns:
        values at each sample, shape (B, L, hop_length).
    """
    starts = torch.cat([ends[:, :1] if before is None else before, ends[:, :-1]], 1)
    rise = torch.arange(1, hop_length + 1, dtype=ends.dtype, device=ends.device) / hop_length
    return torch.lerp(starts[..., None], ends[..., None], rise)
