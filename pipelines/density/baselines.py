"""The baseline of a flow: the Gaussian of greatest likelihood."""

import torch
from torch import Tensor

from pipelines.density.rows import Rows

RIDGE = 1e-6
"""Share of its variance that is added to each column's variance. Without it, the covariance of
collinear columns could not be inverted."""


def gaussian_log_prob(rows: Rows, x: Tensor) -> Tensor:
    """Score rows under the full-covariance Gaussian of greatest likelihood.

    The Gaussian has the mean and the covariance of the training rows. The dequantisation noise is
    added to both in closed form. `RIDGE` times its variance is added to each column's variance.

    Args:
        rows: training rows.
        x: rows to score, shape (N, D).
    Returns:
        log-densities in nats, shape (N,).
    """
    covariance = rows.covariance
    covariance = covariance + RIDGE * torch.diag(covariance.diagonal())
    return torch.distributions.MultivariateNormal(rows.mean, covariance).log_prob(x)


def num_gaussian_params(num_columns: int) -> int:
    """Count the free parameters of a full-covariance Gaussian.

    >>> num_gaussian_params(2)
    5
    """
    return num_columns + num_columns * (num_columns + 1) // 2
