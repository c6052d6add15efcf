"""Folding: rearranging a signal into frames of consecutive samples."""

import torch
from torch import Tensor

from flows.transforms.base import Transform, check_signal


class Fold(Transform):
    r"""Fold every r consecutive samples of a channel into r channels, volume preserving.

    .. math:: z_{c r + i,\, n} = x_{c,\, n r + i}, \qquad \log|\det J| = 0

    Fold is the only transform whose noise and data have different shapes: (B, C, T) becomes
    (B, C r, T / r). `Flow.sample` expects equal shapes, so a composition ends with
    `Inverse(Fold(r))`. A folded waveform has channels that a coupling can split, and r times fewer
    steps at which a network runs.

    Args:
        factor: samples per frame, r.
        num_channels: channels of the signal, C.
    References:
        WaveGlow (Prenger et al., 2019), sec. 2: groups of 8 samples. arXiv:1811.00002
    """

    def __init__(self, factor: int, num_channels: int = 1) -> None:
        super().__init__()
        if factor < 1 or num_channels < 1:
            raise ValueError(
                f"Fold needs factor and num_channels of at least 1, got {factor} and {num_channels}"
            )
        self.factor = factor
        self.num_channels = num_channels

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Fold (B, C, T) into (B, C r, T / r).

        Raises:
            ValueError: if T is not a multiple of r, or x has another shape.
        """
        check_signal(x, self.num_channels)
        if x.shape[2] % self.factor:
            raise ValueError(
                f"{x.shape[2]} samples are not a whole multiple of {self.factor}, the samples "
                "folded into a frame"
            )
        frames = x.unflatten(2, (-1, self.factor)).transpose(2, 3)
        return frames.flatten(1, 2), _no_change(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Unfold (B, C r, T / r) into (B, C, T)."""
        check_signal(z, self.num_channels * self.factor, "z")
        samples = z.unflatten(1, (self.num_channels, self.factor)).transpose(2, 3)
        return samples.flatten(2), _no_change(z)


def _no_change(x: Tensor) -> Tensor:
    return torch.zeros(x.shape[0], dtype=x.dtype, device=x.device)
