"""What the conformance suite needs to know of a transform."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from flows import Transform

BATCH = 2


@dataclass(frozen=True)
class Case:
    """A transform, how to build it, and the shape of its data and context (without batch).

    A transform whose noise has another shape than its data gives `noise_shape`. One that takes no
    context refuses one, unless it is a layer of compositions that may have one: `ignores_context`.
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
