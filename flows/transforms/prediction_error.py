"""A linear predictor as a flow: a waveform becomes the predictor's error, and back."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dsp.recursive_filter import continue_filter
from flows.networks.linear_prediction import predictor_from_reflection
from flows.precision import full_precision
from flows.transforms.convolution import CausalConvolution

LARGEST_LOG_GAIN = 9.5
"""Largest log-gain: a prediction error of exp(-9.5), -82.5 dBFS, is raised to 1.

Digital silence would otherwise ask for a gain without bound.
"""

LARGEST_PREDICTION_GAIN = 6.9
"""Largest gain of the inverse filter for white noise: exp(6.9), 60 dB.

Coefficients near 1 make filters that are stable, but louder than floating point can hold. Speech
asks for gains of up to 40 dB.
"""

LARGEST_RADIUS = 0.99
"""Largest radius of a pole of the inverse filter: at 16 kHz, a bandwidth of at least 50 Hz.

What a pole nearer to 1 remembers lasts longer than what the network sees of the past. Maximum
likelihood puts one at 0 Hz, where recordings have no energy, and what is drawn drifts away.
"""

PARAMETER_GAIN = 5.0  # see LinearPrediction.gain


def bounded_reflection(raw: Tensor) -> Tensor:
    r"""Return reflection coefficients whose all-pole filter has a bounded gain.

    .. math:: k = \tanh(s\, r), \qquad
              \log\sqrt{\prod_i \frac{1}{1 - k_i^2}} = \sum_i \log\cosh(s\, r_i) \le G, \qquad
              s = \min\Big(1, \frac{G}{\sum_i \log\cosh r_i}\Big)

    The bound holds because log cosh is convex and 0 at 0.

    Args:
        raw: r, unbounded, shape (..., K).
    Returns:
        k_1 .. k_K in (-1, 1), same shape; tanh(r) where the gain is below G,
        `LARGEST_PREDICTION_GAIN`.
    """
    size = raw.abs()
    gain = (size + F.softplus(-2 * size) - math.log(2)).sum(-1, keepdim=True)  # log cosh
    return torch.tanh(raw * (LARGEST_PREDICTION_GAIN / gain.clamp(min=LARGEST_PREDICTION_GAIN)))


class PredictionErrorFilter(CausalConvolution):
    r"""Turn a signal into the error of a linear predictor, divided by its expected level.

    .. math:: z_t = e^{g}\Big(x_t - \sum_{k=1}^{K} a_k\, x_{t-k}\Big), \qquad
              \log|\det J| = \sum_t g

    The predictor's coefficients a come from reflection coefficients in (-1, 1), so that the
    inverse, an all-pole filter, is stable for any parameters: whatever noise it is given, its
    output stays bounded. Gain and coefficients follow the context frame by frame. Where the
    context tells the level of the signal, z has a level near 1, however loud the signal is.

    Args:
        order: past samples that a sample is predicted from, K.
        num_channels: channels of the signal, each with its own predictor.
        context_channels: channels H of a context (B, H, L), where each frame serves T / L samples;
            0 for one predictor for all time.
    References:
        Linear prediction of speech (Markel & Gray, 1976), sec. 5: reflection coefficients.
        End-to-end LPCNet (Subramani et al., 2022): a predictor from the conditioning.
        arXiv:2202.11301
    """

    def set_level(self, std: float) -> None:
        """Start from the gain that suits a prediction error of this standard deviation."""
        wanted = torch.tensor(std).log().neg().clamp(max=LARGEST_LOG_GAIN - 0.1)
        raw = LARGEST_LOG_GAIN - torch.log(torch.expm1(LARGEST_LOG_GAIN - wanted))
        with torch.no_grad():
            self.bias.view(self.num_channels, -1)[:, 0] = raw / PARAMETER_GAIN

    def raw_parameters(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Compute raw gain and reflection coefficients, shape (B, C (1 + K), L)."""
        return PARAMETER_GAIN * super().raw_parameters(x, context)

    def filters(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Compute each frame's filter; see `CausalConvolution.filters`.

        Returns:
            log-gains (B, C, L), at most `LARGEST_LOG_GAIN`, and taps -a_k (B, C, L, K), nearest
            sample first.
        """
        self.check(x, context)
        raw = self.raw_parameters(x, context)
        raw = raw.unflatten(1, (self.num_channels, 1 + self.order)).transpose(2, 3)
        log_gain = LARGEST_LOG_GAIN - F.softplus(LARGEST_LOG_GAIN - raw[..., 0])
        predictor = predictor_from_reflection(bounded_reflection(raw[..., 1:]))
        lags = torch.arange(1, self.order + 1, dtype=predictor.dtype, device=predictor.device)
        return log_gain, -predictor * LARGEST_RADIUS**lags

    @torch.no_grad()
    def inverse_piece(self, z: Tensor, context: Tensor | None, before: Tensor) -> Tensor:
        """Synthesise the next piece of a signal.

        Args:
            z: the piece's prediction errors, shape (B, C, T).
            context: the piece's frames, shape (B, H, L).
            before: the signal before the piece, shape (B, C, n); K samples are read of it, fewer
                are preceded by silence.
        Returns:
            x, shape (B, C, T): joined, the pieces equal one call of `inverse`.
        """
        with full_precision(z):
            log_gain, taps = self.filters(z, context)
            driven = z.unflatten(2, (taps.shape[2], -1)) * (-log_gain).exp()[..., None]
            rows = driven.flatten(2).flatten(0, 1)
            x = continue_filter(rows, -taps.flatten(0, 1), before.flatten(0, 1))
        return x.view_as(z)
