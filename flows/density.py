"""A flow as a density: a base distribution seen through a transform."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flows.transforms.base import Transform, check_continuous, sum_over_event


class StandardNormal(nn.Module):
    """Independent standard normal variables."""

    std = 1.0
    entropy = 0.5 * math.log(2 * math.pi * math.e)  # nats

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log-density of each scalar in nats, same shape as z."""
        return -0.5 * (z.square() + math.log(2 * math.pi))

    def sample(self, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw a tensor with the shape, dtype and device of `like`."""
        return torch.empty_like(like).normal_(generator=generator)


class StandardLogistic(nn.Module):
    """Independent standard logistic variables: scale 1, which is not their deviation."""

    std = math.pi / math.sqrt(3)
    entropy = 2.0  # nats

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log-density of each scalar in nats, same shape as z."""
        return -z.abs() - 2 * F.softplus(-z.abs())

    def sample(self, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw a tensor with the shape, dtype and device of `like`; between -37.5 and 37.5."""
        # In float32 one uniform number in 2^24 is 0, and none is nearer to 1 than 2^-24. Here the
        # middle of one of 2^53 equal cells is drawn: both tails are alike.
        uniform = torch.empty_like(like, dtype=torch.float64).uniform_(generator=generator)
        middle = 2.0**-54
        return ((uniform + middle).log() - (1 - uniform - middle).log()).to(like.dtype)


class Flow(nn.Module):
    r"""The density of data whose noise, under a transform, follows a base distribution.

    .. math:: \log p(x) = \log p_0(f(x)) + \log\left|\det \partial f / \partial x\right|

    Args:
        base: distribution of the noise.
        transform: bijection from data to noise.
    References:
        Normalizing flows for probabilistic modeling and inference (Papamakarios et al., 2021),
        eq. 3. arXiv:1912.02762
    """

    def __init__(self, base: StandardNormal | StandardLogistic, transform: Transform) -> None:
        super().__init__()
        self.base = base
        self.transform = transform

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the log-density in nats, shape (B,), of data (B, D) or (B, C, T)."""
        check_continuous(x)
        z, log_det = self.transform(x, context)
        return sum_over_event(self.base.log_prob(z)) + log_det

    def sample(
        self,
        shape: tuple[int, ...],
        context: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw data without recording gradients.

        Args:
            shape: (B, D) or (B, C, T).
            context: conditioning of the transform.
            temperature: factor on the noise; 1 samples the density itself.
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
        context: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Draw data through which gradients flow, with its log-density.

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
        context: Tensor | None = None,
        path: str = "linear",
        end_context: Tensor | None = None,
    ) -> Tensor:
        """Walk from one data point to another through the latent space.

        Args:
            x0: start, shape (B, D) or (B, C, T).
            x1: end, same shape.
            num_steps: points on the path, both ends included, at least 2.
            context: conditioning of the transform.
            path: "linear", or "spherical" (keeps the norm typical of Gaussian noise).
            end_context: conditioning of x1 where it differs from x0's; the path goes linearly from
                one to the other.
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
            # lerp is exact at both ends, so that the path ends at the data.
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
    """Refuse a factor on the noise that is negative or not finite."""
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
