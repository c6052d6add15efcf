"""The distributions that a teacher predicts: a density, and the bijection from it to noise."""

import math
from typing import Protocol

import torch
from torch import Tensor

from flows import (
    Affine,
    MixtureCdf,
    StandardLogistic,
    StandardNormal,
    Transformer,
    Triangular,
    mixture_log_prob,
    mixture_log_std,
)
from teacher.config import TeacherConfig

LOG_LOGISTIC_STD = math.log(StandardLogistic.std)

INITIAL_LOG_SCALES = (-2.5, 0.3)
"""Smallest and largest log-scale in an untrained mixture, nats, relative to the signal's std.

Speech is mostly quiet, and the network soon predicts it closely, so it needs narrow components.
"""

INITIAL_SPREAD = 0.02
"""Largest location in an untrained mixture, relative to the signal's standard deviation.

Components with distinct locations get distinct gradients.
"""


class SampleDistribution(Protocol):
    """The conditional distribution of one sample, given P parameters.

    `transformer` maps a sample to noise of the distribution `base`. The parameters with indices
    `locations` shift the distribution.
    """

    @property
    def base(self) -> StandardNormal | StandardLogistic:
        """Distribution of the noise."""

    @property
    def transformer(self) -> Transformer:
        """Bijection from sample to noise."""

    @property
    def locations(self) -> tuple[int, ...]:
        """Indices, on the axis P, of the parameters that shift the distribution."""

    def log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        """Return the log-density in nats, shape of x.

        Args:
            x: values, shape (B, ...).
            params: parameters, shape (B, P, ...). The axes after P broadcast against those of x.
        """

    def component_log_stds(self, params: Tensor) -> Tensor:
        """Map parameters (B, P, ...) to each component's log-std in nats, shape (B, K, ...)."""

    def log_std(self, params: Tensor) -> Tensor:
        """Map parameters (B, P, ...) to the log standard deviation in nats, shape (B, ...)."""

    def initial_params(self, std: float) -> Tensor:
        """Return initial parameters, shape (P,), for a signal of this standard deviation."""


class Gaussian:
    """One Gaussian per sample.

    Args:
        log_std_floor: lower bound of the log standard deviation, nats.
    References:
        ClariNet (Ping et al., 2019), sec. 3.1. arXiv:1807.07281
    """

    locations = (0,)

    def __init__(self, log_std_floor: float) -> None:
        self.base = StandardNormal()
        self.transformer = Affine(log_std_floor)

    def log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        """Return the log-density in nats; see `SampleDistribution`."""
        z, log_det = self.transformer(x, params)
        return self.base.log_prob(z) + log_det

    def component_log_stds(self, params: Tensor) -> Tensor:
        """Return the log standard deviation of the one component in nats, shape (B, 1, ...)."""
        return self.log_std(params)[:, None]

    def log_std(self, params: Tensor) -> Tensor:
        """Return the log standard deviation in nats."""
        return self.transformer.split(params)[1]

    def initial_params(self, std: float) -> Tensor:
        """Return location 0 and the log standard deviation of the whole signal."""
        return torch.tensor([0.0, math.log(std)])


class LogisticMixture:
    """A mixture of K logistics per sample.

    The transformer is the mixture's CDF followed by the logistic's inverse CDF. So the flow's
    density is the mixture's density, and a mixture of one component is an affine step.

    Args:
        num_components: logistics in each mixture, K.
        log_std_floor: lower bound of each component's log standard deviation, nats. It bounds the
            standard deviation, as for `Gaussian`, and not the scale.
    References:
        Parallel WaveNet (van den Oord et al., 2018): a mixture of logistics for 16-bit audio.
        arXiv:1711.10433
    """

    def __init__(self, num_components: int, log_std_floor: float) -> None:
        self.base = StandardLogistic()
        floor = log_std_floor - LOG_LOGISTIC_STD
        self.transformer = MixtureCdf(num_components, floor, base="logistic")
        self.locations = tuple(range(num_components, 2 * num_components))

    def log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        """Return the log-density in nats; see `SampleDistribution`."""
        return mixture_log_prob(x, params, self.transformer.log_scale_floor)

    def component_log_stds(self, params: Tensor) -> Tensor:
        """Return the components' log standard deviations, shape (B, K, ...)."""
        return self.transformer.split(params).log_scales + LOG_LOGISTIC_STD

    def log_std(self, params: Tensor) -> Tensor:
        """Return the log standard deviation in nats."""
        return mixture_log_std(params, self.transformer.log_scale_floor)

    def initial_params(self, std: float) -> Tensor:
        """Return components of equal weight and different widths, with locations near 0."""
        count = self.transformer.num_components
        spread = INITIAL_SPREAD * std
        locations = torch.linspace(-spread, spread, count)
        log_scales = math.log(std) + torch.linspace(*INITIAL_LOG_SCALES, count)
        return torch.cat([torch.zeros(count), locations, log_scales])


def distribution_of(config: TeacherConfig) -> SampleDistribution:
    """Build the distribution that a configuration names."""
    if config.distribution == "gaussian":
        return Gaussian(config.log_scale_floor)
    return LogisticMixture(config.num_components, config.log_scale_floor)


def transformer_of(config: TeacherConfig, distribution: SampleDistribution) -> Transformer:
    """Build the bijection from a frame of samples to noise.

    The bijection is the distribution's own, sample by sample. Only a Gaussian frame of several
    samples has another bijection, which gives the frame a full covariance.
    """
    if config.distribution == "gaussian" and config.frame_length > 1:
        return Triangular(config.frame_length, config.log_scale_floor)
    return distribution.transformer
