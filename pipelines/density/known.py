"""Densities in closed form that can be sampled: targets of `reverse_kl`, and of tests."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

LOG_TWO_PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class KnownDensity:
    """A normalised density and its sampler.

    Args:
        num_features: D.
        log_prob: maps points (B, D) to log-densities in nats, shape (B,).
        sample: draws (B, D) from B and a random generator.
    """

    num_features: int
    log_prob: Callable[[Tensor], Tensor]
    sample: Callable[[int, torch.Generator], Tensor]


def banana() -> KnownDensity:
    """Return a Gaussian bent along a parabola: x₁ ~ N(0, 1), x₂ ~ N(x₁² − 1, ½²)."""

    def log_prob(x: Tensor) -> Tensor:
        return _normal(x[:, 0], 0, 1) + _normal(x[:, 1], x[:, 0].square() - 1, 0.5)

    def sample(num_rows: int, generator: torch.Generator) -> Tensor:
        first, noise = torch.randn(num_rows, 2, generator=generator).unbind(1)
        return torch.stack([first, first.square() - 1 + 0.5 * noise], 1)

    return KnownDensity(2, log_prob, sample)


def ring() -> KnownDensity:
    """Return a ring: a radius N(2, ¼²) at a uniform angle.

    No continuous bijection of the plane maps a Gaussian to a ring. The mass of negative radii,
    10⁻¹⁵, is left out.
    """

    def log_prob(x: Tensor) -> Tensor:
        radius = x.norm(dim=1)
        return _normal(radius, 2, 0.25) - LOG_TWO_PI - radius.log()

    def sample(num_rows: int, generator: torch.Generator) -> Tensor:
        radius = 2 + 0.25 * torch.randn(num_rows, generator=generator)
        angle = 2 * math.pi * torch.rand(num_rows, generator=generator)
        return radius[:, None] * torch.stack([angle.cos(), angle.sin()], 1)

    return KnownDensity(2, log_prob, sample)


def funnel(num_features: int = 10) -> KnownDensity:
    """Return Neal's funnel: v ~ N(0, 3²), and all other features ~ N(0, e^v).

    Args:
        num_features: D; the first feature is v.
    References:
        Slice sampling (Neal, 2003), sec. 8.
    """

    def log_prob(x: Tensor) -> Tensor:
        v, others = x[:, 0], x[:, 1:]
        return _normal(v, 0, 3) + _normal(others, 0, (0.5 * v).exp()[:, None]).sum(1)

    def sample(num_rows: int, generator: torch.Generator) -> Tensor:
        noise = torch.randn(num_rows, num_features, generator=generator)
        v = 3 * noise[:, :1]
        return torch.cat([v, (0.5 * v).exp() * noise[:, 1:]], 1)

    return KnownDensity(num_features, log_prob, sample)


KNOWN: dict[str, Callable[[], KnownDensity]] = {"banana": banana, "ring": ring, "funnel": funnel}
"""Functions that make the known densities, by name."""


def _normal(x: Tensor, mean: Tensor | float, deviation: Tensor | float) -> Tensor:
    """Return the log-density of each scalar under its own normal distribution."""
    deviation = torch.as_tensor(deviation)
    return -0.5 * (((x - mean) / deviation).square() + LOG_TWO_PI) - deviation.log()
