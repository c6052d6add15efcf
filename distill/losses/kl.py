"""Formulas for each element: KL of two Gaussians, log-scale regulariser, contrastive KL."""

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

    If sigma_q is far above sigma_p, the gradient of the reverse KL in log sigma_q is very large.
    If sigma_q is far below sigma_p, the gradient is only -1. The regulariser brings the scales
    together.

    Args:
        log_scale_q: log-scale of q (the student) in nats, any shape.
        log_scale_p: log-scale of p (the teacher) in nats, shape of `log_scale_q`.
    Returns:
        squared difference in nats², shape of `log_scale_q`.
    References:
        ClariNet (Ping et al., 2019), eq. 7. arXiv:1807.07281
    """
    return (log_scale_p - log_scale_q).square()


def contrastive_kl(right: Tensor, wrong: Tensor, gamma: float, limit: float) -> Tensor:
    r"""Reward a sample that is unlikely under another clip's context, elementwise.

    .. math:: \mathrm{KL}(q(c_1) \,\|\, p(c_1)) - \gamma\, \mathrm{KL}(q(c_1) \,\|\, p(c_2))

    The second divergence has no upper bound: for speech under the context of silence, it is
    thousands of nats per sample. The gradient of such a sample would drown all other gradients. So
    the second divergence is clamped at `limit`, and above the limit it has no gradient.

    Args:
        right: first divergence, under the sample's own context, in nats, any shape.
        wrong: second divergence, under another clip's context, in nats, shape of `right`.
        gamma: weight of the second divergence; below 1.
        limit: upper bound of the second divergence in nats; not in the paper.
    Returns:
        the difference in nats, shape of `right`; it may be negative.
    References:
        Parallel WaveNet (van den Oord et al., 2018), sec. 4, contrastive loss, with
        gamma 0.3. arXiv:1711.10433
    """
    return right - gamma * wrong.clamp(max=limit)


def another_context(log_mel: Tensor) -> Tensor:
    """Give each clip of a batch the conditioning of another clip, for `contrastive_kl`.

    Args:
        log_mel: conditioning frames, shape (B, num_features, L).
    Returns:
        frames of the same shape: each clip has its neighbour's frames. A clip that is alone
        in its batch has its own frames, rotated by half its length.
    """
    if log_mel.shape[0] > 1:
        return log_mel.roll(1, 0)
    return log_mel.roll(log_mel.shape[-1] // 2, -1)
