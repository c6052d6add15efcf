"""A signal that the context itself carries, taken off: what is left is the flow's."""

import torch
from torch import Tensor

from flows.fold import Fold
from flows.transform import Transform, check_signal


class ContextShift(Transform):
    r"""Subtract a signal that is a function of the conditioning alone.

    .. math:: z_t = x_t - v_t(c), \qquad \log|\det J| = 0

    The additive step of NICE with nothing but the context to its network: exact in both directions
    whatever made v, which comes folded as the last r channels of the context.

    Args:
        factor: samples per context frame, r.
    References:
        NICE (Dinh et al., 2015), sec. 3.2. arXiv:1410.8516
    """

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.fold = Fold(factor)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Subtract the signal from (B, 1, T).

        Raises:
            ValueError: if there is no context (B, H, T / r), or it has less than r channels.
        """
        check_signal(x, 1)
        return x - self.signal(x, context), torch.zeros_like(x[:, 0, 0])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Add the signal to (B, 1, T)."""
        check_signal(z, 1, "z")
        return z + self.signal(z, context), torch.zeros_like(z[:, 0, 0])

    def signal(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Read v from the context of a signal x (B, 1, T)."""
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
        return self.fold.inverse(context[:, -r:].to(x.dtype))[0]
