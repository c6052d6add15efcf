"""Divergence under the right context, held against that under another clip's."""

from torch import Tensor


def contrastive_kl(right: Tensor, wrong: Tensor, gamma: float, limit: float) -> Tensor:
    r"""Reward a sample for being unlikely under a context it was not made for, elementwise.

    .. math:: \mathrm{KL}(q(c_1) \,\|\, p(c_1)) - \gamma\, \mathrm{KL}(q(c_1) \,\|\, p(c_2))

    The second divergence has no upper bound: speech under the context of silence costs thousands
    of nats per sample, and its gradient would drown every other. Beyond `limit` a sample is as
    unlike as is asked for, and gains no more.

    Args:
        right: divergence under the sample's own context in nats, any shape.
        wrong: divergence of the same sample under another clip's context, same shape.
        gamma: weight of the second; below 1.
        limit: upper bound of the second in nats, not in the paper.
    Returns:
        same shape, may be negative.
    References:
        Parallel WaveNet (van den Oord et al., 2018), sec. 4, contrastive loss, with
        gamma 0.3. arXiv:1711.10433
    """
    return right - gamma * wrong.clamp(max=limit)
