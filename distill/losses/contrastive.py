"""The contrastive loss: the divergence under the right context against that under a wrong one."""

from torch import Tensor


def contrastive_kl(right: Tensor, wrong: Tensor, gamma: float, limit: float) -> Tensor:
    r"""Reward a sample that is unlikely under another clip's context, elementwise.

    .. math:: \mathrm{KL}(q(c_1) \,\|\, p(c_1)) - \gamma\, \mathrm{KL}(q(c_1) \,\|\, p(c_2))

    The second divergence has no upper bound. Speech under the context of silence costs thousands of
    nats per sample, and the gradient of such a sample would drown all other gradients. So the
    second divergence is cut off at `limit`, beyond which a sample gains nothing.

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
