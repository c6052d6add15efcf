"""Divergence from any teacher, estimated by draws from the student's distribution."""

from collections.abc import Callable

import torch
from torch import Tensor

from flows import StandardLogistic, StandardNormal


def monte_carlo_kl(
    loc_q: Tensor,
    log_scale_q: Tensor,
    noise: Tensor,
    base: StandardNormal | StandardLogistic,
    log_prob_p: Callable[[Tensor], Tensor],
) -> Tensor:
    r"""Estimate KL(q || p) elementwise: q is a shifted and scaled base, p has any density.

    .. math:: \mathrm{KL} = H(q, p) - H(q), \qquad
              H(q, p) \approx -\frac1S \sum_i \log p(\mu_q + \sigma_q\, \epsilon_i), \qquad
              H(q) = \log\sigma_q + H(\epsilon)

    The entropy is exact. The error of the cross-entropy falls as 1/sqrt(S). At each step, p depends
    on the student's sample and not on the draws. So one pass of the teacher over the sample serves
    all draws.

    Args:
        loc_q: location of q (the student), shape (B, ...).
        log_scale_q: log-scale of q in nats, shape (B, ...).
        noise: draws from the base, shape (B, ..., S).
        base: distribution of the noise.
        log_prob_p: log-density of p (the teacher) in nats, for draws of the noise's shape.
    Returns:
        estimates in nats, shape (B, ...); differentiable in location, log-scale and p.
    References:
        Parallel WaveNet (van den Oord et al., 2018), sec. 4: several draws of each step from
        q(x_t | z_<t), one teacher pass. arXiv:1711.10433
    """
    draws = loc_q[..., None] + torch.exp(log_scale_q)[..., None] * noise
    cross_entropy = -log_prob_p(draws).mean(-1)
    return cross_entropy - (log_scale_q + base.entropy)
