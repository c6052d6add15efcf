"""Dequantisation of discrete data, so that a continuous density can model the data."""

import torch
from torch import Tensor, nn


class Dequantize(nn.Module):
    r"""Turn integers 0 .. num_levels - 1 into reals in [0, 1) by uniform noise, and back.

    .. math:: u = (k + \epsilon) / K, \qquad \epsilon \sim U[0, 1)

    `Flow.log_prob` refuses integers, and its message names this class. The command
    `density` adds such noise to single columns of a table (`pipelines.density.rows`).

    The class is not a `Transform`, because a discrete variable has no density. The probability of
    an integer vector is the integral of the continuous density over its cell. So the flow's mean
    log-density, less :math:`D \log K`, is a lower bound of the discrete log-likelihood.

    Args:
        num_levels: number of values that each integer can take, K.
    References:
        A note on the evaluation of generative models (Theis et al., 2016), sec. 3.1.
        arXiv:1511.01844
    """

    def __init__(self, num_levels: int) -> None:
        super().__init__()
        if num_levels < 2:
            raise ValueError(f"num_levels is {num_levels}, expected at least 2")
        self.num_levels = num_levels

    def forward(self, k: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Add noise to integers of any shape; return reals in [0, 1), in the default float dtype.

        Raises:
            ValueError: if the tensor does not hold integers in 0 .. num_levels - 1.
        """
        if k.is_floating_point() or k.is_complex():
            raise ValueError(f"Dequantize takes integers, got dtype {k.dtype}")
        if k.numel() and (k.min() < 0 or k.max() >= self.num_levels):
            raise ValueError(
                f"values span {int(k.min())} .. {int(k.max())}, expected 0 .. {self.num_levels - 1}"
            )
        noise = torch.rand(k.shape, generator=generator, device=k.device)
        # Rounding may carry the sum to the next cell's edge: use the largest number below the edge.
        cell = torch.nextafter(k + 1.0, torch.zeros_like(noise))
        u = torch.minimum(k + noise, cell) / self.num_levels
        # So may the division.
        found = self.quantize(u)
        u = torch.where(found > k, torch.nextafter(u, torch.zeros_like(u)), u)
        return torch.where(found < k, torch.nextafter(u, torch.ones_like(u)), u)

    def quantize(self, u: Tensor) -> Tensor:
        """Return the integers whose cells contain u; values outside [0, 1) are clamped."""
        return (u * self.num_levels).floor().long().clamp(0, self.num_levels - 1)
