"""The model of a table's density, stored as a model folder."""

import dataclasses
from typing import Any, Self

import torch
from torch import Tensor

from flows import Flow, Pretrained, StandardNormal
from flows.families import FamilyConfig, build_family
from flows.transforms.base import check_vector
from storage.configuration import from_dict


class DensityModel(Pretrained):
    r"""A flow of standardised features, with its densities and samples in the data's units.

    .. math:: \log p(x) = \log q\big((x - m) / s\big) - \sum_d \log s_d

    Mean and scale are float64 buffers, so that a feature far from zero keeps its digits. The flow
    computes in the type of its weights.

    Args:
        config: family and size of the flow.
    """

    kind = "density"
    mean: Tensor
    scale: Tensor

    def __init__(self, config: FamilyConfig) -> None:
        super().__init__()
        self.config = config
        self.metadata: dict[str, Any] = {}
        self.flow = Flow(StandardNormal(), build_family(config))
        self.register_buffer("mean", torch.zeros(config.num_features, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(config.num_features, dtype=torch.float64))

    def config_dict(self) -> dict[str, Any]:
        """Return the configuration as plain JSON values."""
        return dataclasses.asdict(self.config)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build the model from the values that `config_dict` returned."""
        return cls(from_dict(FamilyConfig, config))

    def set_statistics(self, mean: Tensor, scale: Tensor) -> None:
        """Set the mean and standard deviation, shape (D,), by which rows are standardised."""
        if not bool((scale > 0).all()):
            raise ValueError(f"the smallest scale is {float(scale.min())}, expected > 0")
        self.mean.copy_(mean)
        self.scale.copy_(scale)

    def standardise(self, x: Tensor) -> Tensor:
        """Map rows (B, D) to the flow's input, in the type of its weights."""
        check_vector(x, self.config.num_features)
        return ((x - self.mean) / self.scale).to(self._dtype)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the log-density of rows in nats, in the data's units.

        Args:
            x: rows, shape (B, D).
        Returns:
            float64, shape (B,).
        Raises:
            ValueError: if x is not a floating-point tensor of shape (B, D).
        """
        return self.flow.log_prob(self.standardise(x)).double() - self.scale.log().sum()

    def sample(
        self,
        num_rows: int,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Draw rows.

        Args:
            num_rows: B.
            generator: source of randomness.
            temperature: factor of the noise; 1 samples the density itself.
        Returns:
            float64, shape (B, D).
        """
        shape = (num_rows, self.config.num_features)
        return self._restore(self.flow.sample(shape, None, temperature, generator))

    def encode(self, x: Tensor) -> Tensor:
        """Map rows (B, D) to latent noise (B, D)."""
        z, _ = self.flow.transform(self.standardise(x))
        return z

    def interpolate(self, x0: Tensor, x1: Tensor, num_steps: int, path: str = "linear") -> Tensor:
        """Interpolate between rows in the latent space.

        Args:
            x0: start of the paths, shape (B, D).
            x1: end of the paths, shape (B, D).
            num_steps: number of points on a path, both ends included.
            path: "linear" or "spherical".
        Returns:
            float64, shape (num_steps, B, D).
        """
        points = self.flow.interpolate(
            self.standardise(x0), self.standardise(x1), num_steps, path=path
        )
        return self._restore(points)

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.flow.parameters()).dtype

    def _restore(self, u: Tensor) -> Tensor:
        return u.double() * self.scale + self.mean
