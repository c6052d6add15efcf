"""The moving average of a model's weights, which is evaluated and saved."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def effective_decay(decay: float, num_averaged: Tensor) -> Tensor:
    r"""Decay of an exponential moving average, reduced for the first updates.

    .. math:: \min\left(d, \frac{1 + n}{10 + n}\right)

    Args:
        decay: the long-run decay d.
        num_averaged: number of updates so far, n.
    """
    n = num_averaged.double()
    return ((1 + n) / (10 + n)).clamp(max=decay)


class Average(AveragedModel):
    """A copy of a model, `.module`, whose weights are the moving average of the model's weights.

    The host never waits for the device.

    Args:
        model: the model being trained.
        decay: weight of the present average in an update; 0.9999 averages over about ten thousand
            steps.
        initial_share: share of the weights that `model` has now in every average.
    References:
        Robust fine-tuning of zero-shot models (Wortsman et al., 2022), sec. 2, for averages of
        fine-tuned weights and those before. arXiv:2109.01903
    """

    n_averaged: Tensor

    def __init__(self, model: nn.Module, decay: float, initial_share: float = 0.0) -> None:
        super().__init__(model, device=next(model.parameters()).device)
        self.decay = decay
        self._share = initial_share
        self._initial = [p.detach().clone() for p in model.parameters()] if initial_share else []

    @torch.no_grad()
    def update_parameters(self, model: Any, made: Tensor | None = None) -> None:
        """Update the average after a step.

        Args:
            model: the model being trained.
            made: 1, or on the device 0 for a skipped step, which leaves the average unchanged.
        """
        if made is None:
            made = torch.ones_like(self.n_averaged)
        weight = 1 - effective_decay(self.decay, self.n_averaged)
        weight = torch.where(self.n_averaged == 0, 1.0, weight) * made
        averaged = [parameter.detach() for parameter in self.module.parameters()]
        current = [parameter.detach() for parameter in model.parameters()]
        if self._share:
            # The average of mixed weights is the mix of the average.
            current = list(torch._foreach_lerp(current, self._initial, self._share))
        difference = torch._foreach_sub(current, averaged)
        torch._foreach_mul_(difference, weight.to(current[0].dtype))
        torch._foreach_add_(averaged, difference)
        for buffer, other in zip(self.module.buffers(), model.buffers(), strict=True):
            buffer.copy_(other)
        self.n_averaged.add_(made.to(self.n_averaged))
