"""Data-dependent initialisation: set each layer's first parameters from the data it will see."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from flows.transforms.base import Compose, Transform


@runtime_checkable
class Initialisable(Protocol):
    """A transform that can choose its parameters from the data it will see."""

    def initialise(self, x: Tensor) -> None:
        """Set the parameters from data x, which has the shape that `forward` takes."""


@torch.no_grad()
def initialise(transform: Transform, x: Tensor, context: Tensor | None = None) -> Tensor:
    """Initialise a transform from data; each layer sees the output of the layers before it.

    Compositions may be nested. Layers without a method `initialise` are left unchanged.

    Args:
        transform: the transform to be trained.
        x: data, shape (B, D) or (B, C, T). All rows pass through the layers at once; a few thousand
            rows suffice.
        context: conditioning of the transform.
    Returns:
        z, the output of the initialised transform for x.
    """
    if isinstance(transform, Initialisable):
        transform.initialise(x)
    elif isinstance(transform, Compose):
        for layer in transform.transforms:
            assert isinstance(layer, Transform)
            x = initialise(layer, x, context)
        return x
    z: Tensor = transform(x, context)[0]
    return z
