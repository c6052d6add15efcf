"""The density of a flow: a base distribution of the noise, and a transform of data to noise."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flows.transforms.base import Transform, check_continuous, sum_over_event


class StandardNormal(nn.Module):
    """Independent standard normal variables."""

    std = 1.0
    entropy = 0.5 * math.log(2 * math.pi * math.e)  # nats

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log-density of each scalar in nats, of z's shape."""
        return -0.5 * (z.square() + math.log(2 * math.pi))

    def sample(self, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw a tensor with the shape, dtype and device of `like`."""
        return torch.empty_like(like).normal_(generator=generator)


class StandardLogistic(nn.Module):
    """Independent standard logistic variables, of scale 1 and standard deviation pi / sqrt(3)."""

    std = math.pi / math.sqrt(3)
    entropy = 2.0  # nats

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log-density of each scalar in nats, of z's shape."""
        return -z.abs() - 2 * F.softplus(-z.abs())

    def sample(self, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw values from -37.5 to 37.5 with the shape, dtype and device of `like`."""
        # A uniform float32 number is 0 once in 2^24 draws, and never nearer to 1 than 2^-24. The
        # middle of one of 2^53 equal cells is drawn instead, so that both tails are equal.
        uniform = torch.empty_like(like, dtype=torch.float64).uniform_(generator=generator)
        middle = 2.0**-54
        return ((uniform + middle).log() - (1 - uniform - middle).log()).to(like.dtype)


class Flow(nn.Module):
    r"""The density of data that a transform maps to noise of a base distribution.

    .. math:: \log p(x) = \log p_0(f(x)) + \log\left|\det \partial f / \partial x\right|

    The methods pass a context to f as f's class documents; `interpolate` takes only a tensor.

    Args:
        base: distribution of the noise, p_0.
        transform: bijection f, data to noise.
    References:
        Normalizing flows for probabilistic modeling and inference (Papamakarios et al., 2021),
        eq. 3. arXiv:1912.02762
    """

    def __init__(self, base: StandardNormal | StandardLogistic, transform: Transform) -> None:
        super().__init__()
        self.base = base
        self.transform = transform

    def log_prob(self, x: Tensor, context: Any = None) -> Tensor:
        """Return the log-density of data (B, D) or (B, C, T), in nats, shape (B,)."""
        check_continuous(x)
        z, log_det = self.transform(x, context)
        return sum_over_event(self.base.log_prob(z)) + log_det

    def sample(
        self,
        shape: tuple[int, ...],
        context: Any = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw data without recording gradients.

        Args:
            shape: (B, D) or (B, C, T).
            context: conditioning of the transform.
            temperature: factor of the noise; 1 samples the density itself.
            generator: source of randomness.
        Returns:
            samples of the given shape, on the transform's device.
        Raises:
            ValueError: if the temperature is negative or not finite.
        """
        check_temperature(temperature)
        with torch.no_grad():
            z = self.base.sample(self._empty(shape), generator) * temperature
            return self.transform.inverse(z, context)[0]

    def rsample_with_log_prob(
        self,
        shape: tuple[int, ...],
        context: Any = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Draw data with its log-density; gradients flow through both.

        Args:
            shape: (B, D) or (B, C, T).
            context: conditioning of the transform.
            generator: source of randomness.
        Returns:
            samples of the given shape; their log-density in nats, shape (B,).
        """
        z = self.base.sample(self._empty(shape), generator)
        x, log_det = self.transform.inverse(z, context)
        return x, sum_over_event(self.base.log_prob(z)) - log_det

    def interpolate(
        self,
        x0: Tensor,
        x1: Tensor,
        num_steps: int,
        context: Any = None,
        path: str = "linear",
        end_context: Any = None,
    ) -> Tensor:
        """Interpolate between two data points in the latent space.

        Args:
            x0: start of the path, shape (B, D) or (B, C, T).
            x1: end of the path, of x0's shape.
            num_steps: number of points on the path, both ends included, at least 2.
            context: conditioning of the transform.
            path: "linear", or "spherical" (keeps the norm typical of Gaussian noise).
            end_context: conditioning of x1, if it differs from x0's `context`; the conditioning of
                the path is interpolated linearly between the two.
        Returns:
            data along the path, shape (num_steps, *x0.shape).
        Raises:
            ValueError: on unequal shapes, too few steps, an unknown path, or an end context alone.
        """
        if x0.shape != x1.shape:
            raise ValueError(f"x0 has shape {tuple(x0.shape)}, x1 {tuple(x1.shape)}: not equal")
        if num_steps < 2:
            raise ValueError(f"num_steps is {num_steps}, expected at least 2")
        if path not in ("linear", "spherical"):
            raise ValueError(f"path is {path!r}, expected 'linear' or 'spherical'")
        if end_context is not None and (context is None or context.shape != end_context.shape):
            found = None if context is None else tuple(context.shape)
            raise ValueError(
                f"end_context has shape {tuple(end_context.shape)}, context {found}: not equal"
            )
        last = context if end_context is None else end_context
        z0, _ = self.transform(x0, context)
        z1, _ = self.transform(x1, last)
        points = []
        for weight in torch.linspace(0, 1, num_steps, dtype=torch.float64).tolist():
            # lerp is exact at both ends, so the path begins and ends at the data.
            z = torch.lerp(z0, z1, weight) if path == "linear" else _slerp(z0, z1, weight)
            between = None if context is None or last is None else context.lerp(last, weight)
            points.append(self.transform.inverse(z, between)[0])
        return torch.stack(points)

    def _empty(self, shape: tuple[int, ...]) -> Tensor:
        reference = next(self.transform.parameters(), None)
        if reference is None:
            return torch.empty(shape)
        return torch.empty(shape, dtype=reference.dtype, device=reference.device)


def check_temperature(temperature: float) -> None:
    """Raise ValueError if a temperature is negative or not finite."""
    if not 0.0 <= temperature < math.inf:
        raise ValueError(f"temperature is {temperature}, expected a finite number >= 0")


def _slerp(z0: Tensor, z1: Tensor, weight: float) -> Tensor:
    """Spherical interpolation of the flattened latents (Shoemake, 1985); linear when parallel."""
    a, b = z0.flatten(1), z1.flatten(1)
    cosine = F.cosine_similarity(a, b, dim=1).clamp(-1, 1)
    angle = torch.arccos(cosine)[:, None]
    sine = torch.sin(angle)
    parallel = sine < 1e-6
    safe = torch.where(parallel, torch.ones_like(sine), sine)
    w0 = torch.where(
        parallel, torch.full_like(sine, 1 - weight), torch.sin((1 - weight) * angle) / safe
    )
    w1 = torch.where(parallel, torch.full_like(sine, weight), torch.sin(weight * angle) / safe)
    return (w0 * a + w1 * b).view_as(z0)
