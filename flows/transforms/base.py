"""The base class of all flows: a bijection that knows its own log-determinant.

This file defines the direction and the sign convention of the whole program. `forward` maps data to
noise, and `inverse` maps noise to data. Each returns the log-determinant of the map that it
applied.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class Transform(nn.Module):
    r"""An invertible map between data ``x`` and noise ``z``.

    .. math:: \log p(x) = \log p(z) + \log\left|\det \frac{\partial z}{\partial x}\right|

    Vectors have shape (B, D), signals (B, C, T). Log-determinants are in nats, shape (B,).
    Subclasses implement both directions. A subclass without conditioning ignores ``context``.
    """

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data to noise.

        Args:
            x: data, shape (B, D) or (B, C, T).
            context: conditioning, of the shape that the transform documents.
        Returns:
            z, of x's shape; log|det dz/dx| in nats, shape (B,).
        Raises:
            ValueError: if x is not a floating-point tensor of the right shape.
        """
        raise NotImplementedError

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map noise to data; the exact inverse of `forward`.

        Args:
            z: noise, shape (B, D) or (B, C, T).
            context: conditioning, as in `forward`.
        Returns:
            x, of z's shape; log|det dx/dz| in nats, shape (B,).
        Raises:
            ValueError: if z is not a floating-point tensor of the right shape.
        """
        raise NotImplementedError


class Inverse(Transform):
    """Swap the two directions of a transform.

    This class expresses the duality of autoregressive flows: a MAF is an `Autoregressive`
    transform, and an IAF is the `Inverse` of an `Autoregressive` transform.
    """

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply the wrapped transform's inverse."""
        return self.transform.inverse(x, context)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply the wrapped transform's forward."""
        z, log_det = self.transform(z, context)
        return z, log_det


class Compose(Transform):
    r"""Chain transforms: data passes through them in the order given.

    .. math:: \log|\det J| = \sum_k \log|\det J_k|

    Args:
        transforms: at least one transform; the first is nearest to the data.
    """

    def __init__(self, transforms: Iterable[Transform]) -> None:
        super().__init__()
        self.transforms = nn.ModuleList(transforms)
        if not self.transforms:
            raise ValueError("Compose needs at least one transform, got an empty list")

    def contexts(self, context: Any) -> list[Any]:
        """Return the context of each transform; a subclass may give each one a part."""
        return [context] * len(self.transforms)

    def forward(self, x: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Apply every transform from data to noise and add the log-determinants."""
        total = torch.zeros(x.shape[0], dtype=x.dtype, device=x.device)
        for transform, part in zip(self.transforms, self.contexts(context), strict=True):
            x, log_det = transform(x, part)
            total = total + log_det
        return x, total

    def inverse(self, z: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Apply every inverse from noise to data, last transform first."""
        total = torch.zeros(z.shape[0], dtype=z.dtype, device=z.device)
        parts = zip(self.transforms, self.contexts(context), strict=True)
        for transform, part in reversed(list(parts)):
            assert isinstance(transform, Transform)
            z, log_det = transform.inverse(z, part)
            total = total + log_det
        return z, total


def sum_over_event(values: Tensor) -> Tensor:
    """Sum values over all axes but the batch: (B, ...) to (B,)."""
    return values.flatten(1).sum(1)


def check_continuous(x: Tensor, name: str = "x") -> None:
    """Refuse data that has no density.

    Args:
        x: the tensor that a flow is to transform.
        name: name of the tensor in the message.
    Raises:
        ValueError: if the tensor holds integers, booleans or complex numbers. The density of a flow
            fitted to integers can grow without bound at the integers (Theis et al., 2016), so they
            must be dequantised first.
    """
    if not x.is_floating_point():
        raise ValueError(
            f"{name} has dtype {x.dtype}: a flow is a density over real numbers and cannot model "
            "discrete data; pass it through flows.Dequantize first"
        )


def check_vector(x: Tensor, num_features: int, name: str = "x") -> None:
    """Raise ValueError unless x is a floating-point tensor of shape (B, num_features)."""
    check_continuous(x, name)
    if x.dim() != 2 or x.shape[1] != num_features:
        raise ValueError(f"{name} has shape {tuple(x.shape)}, expected (B, {num_features})")


def check_features(x: Tensor, num_features: int, name: str = "x") -> None:
    """Raise ValueError unless x is (B, num_features) or (B, num_features, T), floating point."""
    check_continuous(x, name)
    if x.dim() not in (2, 3) or x.shape[1] != num_features or 0 in x.shape[2:]:
        raise ValueError(
            f"{name} has shape {tuple(x.shape)}, expected (B, {num_features}) or "
            f"(B, {num_features}, T)"
        )


def check_signal(x: Tensor, num_channels: int, name: str = "x") -> None:
    """Raise ValueError unless x is a floating-point tensor of shape (B, num_channels, T), T > 0."""
    check_continuous(x, name)
    if x.dim() != 3 or x.shape[1] != num_channels or x.shape[2] == 0:
        raise ValueError(f"{name} has shape {tuple(x.shape)}, expected (B, {num_channels}, T)")
