"""The description of a transform for the conformance suite."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from flows import Transform

BATCH = 2


@dataclass(frozen=True)
class Case:
    """A transform, how to build it, and the shape of its data and context (without batch).

    `noise_shape` is the shape of the noise, if it differs from the data's. A transform without
    context refuses a context, unless `ignores_context`: such a layer may be part of a composition
    that has one.
    """

    name: str
    build: Callable[[], Transform]
    shape: tuple[int, ...]
    context_shape: tuple[int, ...] | None = None
    noise_shape: tuple[int, ...] | None = None
    ignores_context: bool = False

    def make(self) -> tuple[Transform, Tensor, Tensor | None]:
        """Build the transform with weights far from its initial near-identity, data, context."""
        torch.manual_seed(0)
        transform = self.build().double()
        with torch.no_grad():
            for parameter in transform.parameters():
                parameter.add_(0.15 * torch.randn_like(parameter))
        x = torch.randn(BATCH, *self.shape, dtype=torch.float64)
        context = None
        if self.context_shape is not None:
            context = torch.randn(BATCH, *self.context_shape, dtype=torch.float64)
        return transform, x, context

    def as_noise(self, x: Tensor) -> Tensor:
        """Use the numbers of `make`'s data as noise."""
        return x.reshape(BATCH, *(self.noise_shape or self.shape))
