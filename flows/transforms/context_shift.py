"""Subtraction of a signal that the context carries, and division of the rest by a gain."""

import math

from torch import Tensor

from flows.transforms.base import Transform, check_signal, sum_over_event
from flows.transforms.fold import Fold

HEARD = 1e-5
"""Smallest amplitude, a third of a 16-bit step, at which a frame's signal counts as heard."""


class ContextShift(Transform):
    r"""Subtract a signal v that depends on the conditioning alone, and divide the rest by a gain.

    .. math:: z_t = (x_t - v_t(c)) / g_t(c), \qquad \log|\det J| = -\sum_t \log g_t

    The step is RealNVP's affine step with a network that reads only the context. It is exact in
    both directions for any v. The context is v, folded into frames of r samples. The gain g_t is
    `gain` in frames in which v exceeds `HEARD`, and 1 in other frames.

    Args:
        factor: samples per context frame, r.
        gain: the gain g in frames in which v is heard, above 0.
    References:
        NICE (Dinh et al., 2015), sec. 3.2. arXiv:1410.8516
        Density estimation using Real NVP (Dinh et al., 2017), eq. 7-8. arXiv:1605.08803
    """

    def __init__(self, factor: int, gain: float = 1.0) -> None:
        super().__init__()
        if not 0 < gain < math.inf:
            raise ValueError(f"gain is {gain}, expected more than 0")
        self.fold = Fold(factor)
        self.gain = gain

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Subtract the context's signal from x (B, 1, T), and divide by the gain.

        Raises:
            ValueError: if the context is not v in frames, shape (B, r, T / r).
        """
        check_signal(x, 1)
        signal, log_gain = self.signal_and_log_gain(x, context)
        return (x - signal) * (-log_gain).exp(), -sum_over_event(log_gain)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Multiply z (B, 1, T) by the gain, and add the context's signal."""
        check_signal(z, 1, "z")
        signal, log_gain = self.signal_and_log_gain(z, context)
        return z * log_gain.exp() + signal, sum_over_event(log_gain)

    def signal_and_log_gain(
        self, x: Tensor, context: Tensor | None, gain: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return v and log g from the context of a signal x, shape (B, 1, T) each.

        Args:
            x: shape (B, 1, T).
            context: v in frames, shape (B, r, T / r).
            gain: used in place of the attribute `gain`, shape (B, 1), above 0.
        """
        r, (batch, _, samples) = self.fold.factor, x.shape
        shape = () if context is None else tuple(context.shape)
        # A multiple of r, asked without a division: an export traces this with symbols.
        if context is None or shape[:2] != (batch, r) or shape[2] * r != samples:
            raise ValueError(f"context has shape {shape}, expected ({batch}, {r}, {samples} / {r})")
        folded = context.to(x.dtype)
        sounds = (folded.abs().amax(1, keepdim=True) > HEARD).to(x.dtype)
        loudness = math.log(self.gain) if gain is None else gain.log()[..., None]
        log_gain = (loudness * sounds).repeat_interleave(r, -1)
        return self.fold.inverse(folded)[0], log_gain
