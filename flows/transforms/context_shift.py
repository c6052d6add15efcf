"""A signal that the context itself carries, taken off: what is left is the flow's."""

import math

from torch import Tensor

from flows.transforms.base import Transform, check_signal, sum_over_event
from flows.transforms.fold import Fold

HEARD = 1e-5
"""A third of a 16-bit step."""


class ContextShift(Transform):
    r"""Subtract a signal that is a function of the conditioning alone; scale what is beside it.

    .. math:: z_t = (x_t - v_t(c)) / g_t(c), \qquad \log|\det J| = -\sum_t \log g_t

    The affine step of RealNVP with nothing but the context to its network: exact in both directions
    whatever made v, which comes folded as the last r channels of the context. The gain is a given
    one in frames of r samples that v is heard in, at `HEARD` or more, and 1 in others.

    Args:
        factor: samples per context frame, r.
        gain: g beside the signal, above 0.
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
        """Subtract the signal from (B, 1, T).

        Raises:
            ValueError: if there is no context (B, H, T / r), or it has less than r channels.
        """
        check_signal(x, 1)
        signal, log_gain = self.signal_and_log_gain(x, context)
        return (x - signal) * (-log_gain).exp(), -sum_over_event(log_gain)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Add the signal to (B, 1, T)."""
        check_signal(z, 1, "z")
        signal, log_gain = self.signal_and_log_gain(z, context)
        return z * log_gain.exp() + signal, sum_over_event(log_gain)

    def signal_and_log_gain(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Read v, and log g, from the context of a signal x; shape (B, 1, T) each."""
        r, (batch, _, samples) = self.fold.factor, x.shape
        shape = None if context is None else tuple(context.shape)
        if context is None or shape is None or len(shape) != 3 or shape[1] < r:
            fits = False
        else:
            fits = shape[0] == batch and shape[2] * r == samples
        if not fits or context is None:
            raise ValueError(
                f"context has shape {shape}, expected ({batch}, at least {r}, {samples} / {r})"
            )
        folded = context[:, -r:].to(x.dtype)
        sounds = (folded.abs().amax(1, keepdim=True) > HEARD).to(x.dtype)
        log_gain = (math.log(self.gain) * sounds).repeat_interleave(r, -1)
        return self.fold.inverse(folded)[0], log_gain
