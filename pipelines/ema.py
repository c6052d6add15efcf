"""Averaged weights: what is evaluated and saved for use."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def effective_decay(decay: float, num_averaged: int) -> float:
    r"""Decay of an exponential moving average that is short while it has seen little.

    .. math:: \min\left(d, \frac{1 + n}{10 + n}\right)

    Args:
        decay: the long-run decay d.
        num_averaged: updates made so far, n.
    """
    return min(decay, (1 + num_averaged) / (10 + num_averaged))


def averaged_copy(model: nn.Module, decay: float) -> AveragedModel:
    """Copy a model whose weights will follow the original's, averaged.

    Args:
        model: the model being trained.
        decay: weight of the past; 0.9999 averages over about ten thousand steps.
    Returns:
        call `update_parameters(model)` after every step; `.module` is the averaged model.
    """

    def average(
        averaged: Sequence[Tensor], current: Sequence[Tensor], num_averaged: Tensor | int
    ) -> None:
        weight = 1.0 - effective_decay(decay, int(num_averaged))
        torch._foreach_lerp_(list(averaged), list(current), weight)

    return AveragedModel(model, multi_avg_fn=average)
