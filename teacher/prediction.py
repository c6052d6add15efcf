"""The distribution that a teacher predicts for every sample given all earlier samples."""

from dataclasses import dataclass

import torch
from torch import Tensor

from flows import Affine
from teacher.distributions import SampleDistribution


@dataclass(frozen=True)
class Prediction:
    r"""The conditional distribution of each sample, p(x_t | x_<t, c).

    The network predicts the distribution of the residual e. A linear predictor computes e from the
    waveform; without a predictor, e is the waveform itself.

    .. math:: e_t = x_t\, e^{g_t} + \mu_t(x_{<t}), \qquad
              \log p(x_t \mid x_{<t}) = \log p_e(e_t) + g_t

    Args:
        distribution: distribution of the residual.
        params: parameters of the distribution, shape (B, P, 1, T).
        shift: mu, the shift of the linear predictor, shape (B, 1, T); 0 without a predictor.
        log_gain: g in nats, shape (B, 1, T); 0 without a predictor.
    """

    distribution: SampleDistribution
    params: Tensor
    shift: Tensor
    log_gain: Tensor

    def after(self, start: int) -> "Prediction":
        """Return the prediction of all samples but the first `start`."""
        parts = (self.params, self.shift, self.log_gain)
        return Prediction(self.distribution, *(part[..., start:] for part in parts))

    def float(self) -> "Prediction":
        """Return the prediction in float32."""
        parts = (self.params, self.shift, self.log_gain)
        return Prediction(self.distribution, *(part.float() for part in parts))

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the log-density of values that replace single samples; the past stays as it is.

        Args:
            x: values, shape (B, 1, T), or (B, 1, T, S) for S values of each sample.
        Returns:
            log-density in nats, shape of x.
        """
        params, shift, log_gain = self.params, self.shift, self.log_gain
        if x.dim() == 4:
            params, shift, log_gain = params[..., None], shift[..., None], log_gain[..., None]
        residual = x * log_gain.exp() + shift
        return self.distribution.log_prob(residual, params) + log_gain

    @property
    def log_std(self) -> Tensor:
        """Log standard deviation of each sample in nats, shape (B, 1, T)."""
        return self.distribution.log_std(self.params) - self.log_gain

    def location_and_log_scale(self) -> tuple[Tensor, Tensor]:
        """Return mean and log standard deviation of Gaussian samples, shape (B, 1, T) each.

        Raises:
            ValueError: if the distribution is a mixture.
        """
        transformer = self.distribution.transformer
        if not isinstance(transformer, Affine):
            raise ValueError(
                "teacher.distribution is 'mixture': only a 'gaussian' has one location and "
                "log-scale per sample"
            )
        location, log_scale = transformer.split(self.params)
        return (location - self.shift) * torch.exp(-self.log_gain), log_scale - self.log_gain
