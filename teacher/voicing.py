"""Voicing, told from the conditioning: voiced sounds are drawn with less noise than a model learns.

A teacher that reads its own samples makes voiced speech rougher than recordings are. Drawn at a
lower temperature where the speech is voiced, it is clearer; where the speech is noise, a lower
temperature would only make it quieter.

References:
    LPCNet (Valin & Skoglund, 2019), sec. 3.4: sharper distributions the more periodic a frame is.
    arXiv:1810.11846
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Voicing(nn.Module):
    """Tell voiced frames from unvoiced ones by the context's hidden frames.

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
            voiced: booleans of the recording, shape (B, L).
        """
        logits = self(frames.detach())
        return F.binary_cross_entropy_with_logits(logits, voiced.to(logits))

    def temperatures(self, frames: Tensor, voiced_temperature: float, hop_length: int) -> Tensor:
        """Return the factor on each sample's noise.

        Args:
            frames: hidden frames, shape (B, H, L).
            voiced_temperature: factor where a frame is surely voiced; 1 where it surely is not.
            hop_length: samples per frame.
        Returns:
            factors, shape (B, 1, L * hop_length).
        """
        reduction = (1 - voiced_temperature) * torch.sigmoid(self(frames))
        return (1 - reduction)[:, None].repeat_interleave(hop_length, -1)
