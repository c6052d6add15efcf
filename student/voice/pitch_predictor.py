"""The pitch of speech, predicted from its conditioning."""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flows.precision import full_precision

BINS_PER_OCTAVE = 32
WIDTH = 384
"""Width of the predictor's three layers."""

NEIGHBOURS = 2
"""Number of bins on each side of the best bin that refine the pitch."""


class Pitch(NamedTuple):
    """Predicted pitch and voicing at the end of each conditioning frame."""

    hz: Tensor
    """Pitch, shape (B, L)."""
    voicing: Tensor
    """Logit of the probability that the frame's end is voiced, shape (B, L)."""
    scores: Tensor
    """Logits of the bins of `pitch_bins`, shape (B, bins, L); `hz` is read from them."""


class MeasuredVoice(NamedTuple):
    """Pitch, voicing and pulses measured in a recording, for training."""

    hz: Tensor
    """Pitch at the end of each conditioning frame, shape (B, L)."""
    voiced: Tensor
    """Whether the end of each conditioning frame is voiced, shape (B, L)."""
    energy: Tensor
    """Signal with peaks at the pulses, shape (B, L * hop_length): `dsp.pulses.residual_energy`."""


class PitchPredictor(nn.Module):
    """Predict voicing and pitch.

    The pitch is classified into bins on a logarithmic scale. The bins around the best bin then
    refine the pitch.

    A network that predicts the pitch by regression gets stuck in the wrong octave; a classifier
    does not.

    Args:
        channels: channels that the predictor reads.
        fmin_hz: lowest pitch.
        fmax_hz: highest pitch.
    References:
        CREPE (Kim et al., 2018), sec. 2.1 for pitch as a choice of bins. arXiv:1802.06182
    """

    def __init__(self, channels: int, fmin_hz: float, fmax_hz: float) -> None:
        super().__init__()
        self.fmin_hz, self.fmax_hz = fmin_hz, fmax_hz
        widths = [channels, WIDTH, WIDTH, WIDTH]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.head = nn.Linear(WIDTH, 1 + pitch_bins(fmin_hz, fmax_hz))

    def forward(self, frames: Tensor) -> Pitch:
        """Predict pitch and voicing from frames of shape (B, channels, L)."""
        # bfloat16 rounds a pitch to half a hertz, and the phase would drift away.
        with full_precision(frames):
            rows = frames.mT.to(self.head.weight.dtype)
            for layer in self.layers:
                rows = F.leaky_relu(layer(rows), 0.2)
            raw = self.head(rows).mT
            voicing, scores = raw[:, 0], raw[:, 1:]
            bins = torch.arange(scores.shape[1], device=raw.device)[:, None]
            best = scores.argmax(1, keepdim=True)
            far = (bins - best).abs() > NEIGHBOURS
            weights = scores.masked_fill(far, -torch.inf).softmax(1)
            position = (weights * bins).sum(1)
            hz = self.fmin_hz * torch.exp2(position / BINS_PER_OCTAVE)
        return Pitch(hz.clamp(max=self.fmax_hz), voicing, scores)


def pitch_bins(fmin_hz: float, fmax_hz: float) -> int:
    """Count the bins from the lowest to the highest pitch, both included."""
    return 1 + math.ceil(BINS_PER_OCTAVE * math.log2(fmax_hz / fmin_hz))
