"""Divergence of the student's distribution from the teacher's distribution of each sample."""

import torch
from torch import Tensor


def gaussian_kl(loc_q: Tensor, log_scale_q: Tensor, loc_p: Tensor, log_scale_p: Tensor) -> Tensor:
    r"""Return KL(q || p) of two Gaussians, elementwise.

    .. math:: \log\frac{\sigma_p}{\sigma_q} + \frac{\sigma_q^2 + (\mu_q - \mu_p)^2}{2\sigma_p^2}
              - \frac12

    Args:
        loc_q: location of q (the student), any shape.
        log_scale_q: log-scale of q in nats, shape of `loc_q`.
        loc_p: location of p (the teacher), shape of `loc_q`.
        log_scale_p: log-scale of p in nats, shape of `loc_q`.
    Returns:
        divergence in nats, shape of `loc_q`; not negative, up to rounding.
    References:
        ClariNet (Ping et al., 2019), eq. 6. arXiv:1807.07281
    """
    log_ratio = log_scale_p - log_scale_q
    standardised = (loc_q - loc_p) * torch.exp(-log_scale_p)
    return log_ratio + 0.5 * (torch.exp(-2 * log_ratio) + standardised.square() - 1)


def log_scale_regulariser(log_scale_q: Tensor, log_scale_p: Tensor) -> Tensor:
    r"""Return the squared difference of log-scales, elementwise.

    .. math:: (\log\sigma_p - \log\sigma_q)^2

    The regulariser keeps the gradient of the reverse KL finite if the two scales are far apart.

    References:
        ClariNet (Ping et al., 2019), eq. 7. arXiv:1807.07281
    """
    return (log_scale_p - log_scale_q).square()
