"""A classifier of voiced frames, by which a teacher draws voiced speech with less noise.

A teacher that reads its own samples draws rougher voiced speech than recordings have. A lower
temperature makes voiced speech clearer. In unvoiced speech, which is noise, a lower temperature
only lowers the level. So the temperature is lowered in voiced frames alone, and a classifier finds
these frames.

References:
    LPCNet (Valin & Skoglund, 2019), sec. 3.7: the more periodic a frame, the sharper its
    distribution.
    arXiv:1810.11846
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Voicing(nn.Module):
    """Tell voiced from unvoiced frames by the hidden frames of the context network.

    Args:
        channels: channels of the hidden frames, H.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.logit = nn.Conv1d(channels, 1, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Return the log-odds that each frame (B, H, L) is voiced, shape (B, L)."""
        logits: Tensor = self.logit(frames)
        return logits[:, 0]

    def loss(self, frames: Tensor, voiced: Tensor) -> Tensor:
        """Return the mean cross-entropy in nats. The gradient does not reach the frames.

        Args:
            frames: hidden frames, shape (B, H, L).
            voiced: whether each frame of the recording is voiced, shape (B, L).
        """
        logits = self(frames.detach())
        return F.binary_cross_entropy_with_logits(logits, voiced.to(logits))

    def temperatures(self, frames: Tensor, voiced_temperature: float, hop_length: int) -> Tensor:
        """Return the temperature of each sample, a factor on its noise.

        Args:
            frames: hidden frames, shape (B, H, L).
            voiced_temperature: factor for a frame that is voiced with probability 1. The factor
                for probability 0 is 1, and other factors lie in between.
            hop_length: samples per frame.
        Returns:
            factors, shape (B, 1, L * hop_length).
        """
        reduction = (1 - voiced_temperature) * torch.sigmoid(self(frames))
        return (1 - reduction)[:, None].repeat_interleave(hop_length, -1)
