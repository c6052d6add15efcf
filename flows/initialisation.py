"""Data-dependent initialisation: start training from what the data says, layer by layer."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from flows.transforms.base import Compose, Transform


@runtime_checkable
class Initialisable(Protocol):
    """A transform that can choose its parameters from the data it will see."""

    def initialise(self, x: Tensor) -> None:
        """Set the parameters from data of the shape that `forward` takes."""


@torch.no_grad()
def initialise(transform: Transform, x: Tensor, context: Tensor | None = None) -> Tensor:
    """Initialise a transform from data, each layer from what the layers before make of it.

    Walks compositions, however nested; layers that have no `initialise` stay as they are.

    Args:
        transform: what is to be trained.
        x: data, shape (B, D) or (B, C, T), all of it passed through at once: a few thousand rows
            are plenty.
        context: conditioning of the transform.
    Returns:
        z, what the transform now makes of the data.
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
