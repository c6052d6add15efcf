"""Autoregressive flows: parallel in one direction, sequential in the other.

The parameters of step t are computed from inputs strictly before t. The Jacobian is therefore
triangular, and its log-determinant is the sum of the diagonal's logarithms: O(D), not O(D^3).
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from flows.transforms.base import Inverse, Transform, check_continuous, sum_over_event
from flows.transforms.transformers import Swapped, Transformer


class Conditioner(nn.Module):
    """A network whose output at step t depends on inputs strictly before t (and on context).

    Steps run along the last axis: features of a vector (B, D), samples of a signal (B, C, T).
    """

    num_params: int

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Compute every step's parameters in one parallel pass.

        Args:
            x: inputs, shape (B, D) or (B, C, T).
            context: conditioning, as the network documents.
        Returns:
            parameters, shape (B, P, D) or (B, P, C, T).
        """
        raise NotImplementedError

    def start(self, like: Tensor, context: Tensor | None = None) -> Any:
        """Return the state before the first step.

        Args:
            like: a tensor of the whole sequence's shape, dtype and device.
            context: conditioning for the whole sequence.
        """
        raise NotImplementedError

    def step(self, previous: Tensor, state: Any) -> Tensor:
        """Advance by one step from cached state.

        Args:
            previous: input of the previous step, shape (B,) or (B, C); zeros for the first step.
            state: the state from `start`, updated in place.
        Returns:
            parameters of this step, shape (B, P) or (B, P, C), as `forward` computes them.
        """
        raise NotImplementedError


class Autoregressive(Transform):
    r"""An elementwise transformer whose parameters come from a strictly causal conditioner.

    .. math:: z_t = \tau(x_t;\, h_t), \qquad h_t = c(x_{<t}), \qquad
              \log|\det J| = \sum_t \log|\partial z_t / \partial x_t|

    `forward` is one parallel pass. `inverse` runs step by step on the conditioner's cached state.
    Both are differentiable.

    Args:
        conditioner: the causal network.
        transformer: the elementwise bijection that the conditioner parametrises.
    References:
        MAF (Papamakarios et al., 2017), sec. 3. arXiv:1705.07057
    """

    def __init__(self, conditioner: Conditioner, transformer: Transformer) -> None:
        super().__init__()
        if conditioner.num_params != transformer.num_params:
            raise ValueError(
                f"the conditioner gives {conditioner.num_params} parameters per scalar, but "
                f"{type(transformer).__name__} takes {transformer.num_params}"
            )
        self.conditioner = conditioner
        self.transformer = transformer

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data to noise in one parallel pass."""
        check_continuous(x)
        z, log_det = self.transformer(x, self.conditioner(x, context))
        return z, sum_over_event(log_det)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map noise to data, one step after the other: O(T) sequential calls.

        Raises:
            ValueError: also if the output overflows. Each step reads the outputs of earlier steps,
                so noise that is unlikely under the base can make the output grow without bound.
        """
        check_continuous(z, "z")
        steps = list(self.inverse_steps(z, context))
        x = torch.stack([value for value, _ in steps], -1)
        if not torch.isfinite(x).all():
            raise ValueError(
                f"the inverse of an autoregressive flow of {z.shape[-1]} steps is not finite for "
                f"inputs of up to {float(z.detach().abs().max()):.3g}: expected values likely "
                "under the base"
            )
        return x, sum_over_event(torch.stack([log_det for _, log_det in steps], -1))

    def inverse_steps(
        self, z: Tensor, context: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Compute the inverse step by step, and yield each step's result.

        Args:
            z: noise, shape (B, D) or (B, C, T).
            context: conditioning for the whole sequence.
        Yields:
            x_t and log|dx_t/dz_t|, shape (B,) or (B, C) each.
        """
        state = self.conditioner.start(z, context)
        previous = torch.zeros_like(z[..., 0])
        for noise in z.unbind(-1):
            params = self.conditioner.step(previous, state)
            previous, log_det = self.transformer.inverse(noise, params)
            yield previous, log_det


def maf(conditioner: Conditioner, transformer: Transformer) -> Autoregressive:
    """Build a masked autoregressive flow: parallel likelihood, sequential sampling."""
    return Autoregressive(conditioner, transformer)


def iaf(conditioner: Conditioner, transformer: Transformer) -> Inverse:
    """Build an inverse autoregressive flow: parallel sampling, sequential likelihood.

    Give the transformer that `maf` takes. The conditioner reads earlier noise instead of earlier
    data: `Affine` gives x_t = z_t * exp(s(z_<t)) + mu(z_<t).
    """
    return Inverse(Autoregressive(conditioner, Swapped(transformer)))
