"""A linear predictor as a flow: it maps a waveform to the predictor's error, and back."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dsp.filters.recursive import continue_filter
from flows.networks.linear_prediction import predictor_from_reflection
from flows.precision import full_precision
from flows.transforms.convolution import CausalConvolution

LARGEST_LOG_GAIN = 9.5
"""Largest log-gain in nats, which raises a prediction error of exp(-9.5), -82.5 dBFS, to 1.

Without the bound, digital silence would make the gain grow without limit.
"""

LARGEST_PREDICTION_GAIN = 6.9
"""Largest log-gain, in nats, of the inverse filter for white noise: a gain of exp(6.9), 60 dB.

Filters with reflection coefficients near 1 are stable, but their output can exceed the range of
floating point. Speech needs gains of up to 40 dB.
"""

LARGEST_RADIUS = 0.99
"""Largest radius of a pole of the inverse filter: at 16 kHz, a bandwidth of at least 50 Hz.

The response of a pole with a larger radius lasts longer than the receptive field of the network.
Maximum likelihood would put such a pole at 0 Hz, where recordings have no energy, and the samples
would drift away from 0.
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
        k_1 .. k_K in (-1, 1), shape (..., K). They are tanh(r) if the log-gain is below the bound
        G = `LARGEST_PREDICTION_GAIN`.
    """
    size = raw.abs()
    gain = (size + F.softplus(-2 * size) - math.log(2)).sum(-1, keepdim=True)  # log cosh
    return torch.tanh(raw * (LARGEST_PREDICTION_GAIN / gain.clamp(min=LARGEST_PREDICTION_GAIN)))


class PredictionErrorFilter(CausalConvolution):
    r"""Map a signal to the error of a linear predictor, divided by the error's expected level.

    .. math:: z_t = e^{g}\Big(x_t - \sum_{k=1}^{K} a_k\, x_{t-k}\Big), \qquad
              \log|\det J| = \sum_t g

    The predictor's coefficients a come from reflection coefficients in (-1, 1). So the inverse, an
    all-pole filter, is stable for any parameters, and its output is bounded for bounded noise. Gain
    and coefficients follow the context frame by frame. If the context tells the signal's level, z
    has a level near 1 at any loudness.

    Args:
        order: number of past samples that the predictor reads, K.
        num_channels: channels of the signal, each with its own predictor.
        context_channels: channels H of a context (B, H, L), where each frame serves T / L samples;
            0 for one predictor for all time.
    References:
        Linear prediction of speech (Markel & Gray, 1976), sec. 5: reflection coefficients.
        End-to-end LPCNet (Subramani et al., 2022): a predictor from the conditioning.
        arXiv:2202.11301
    """

    def set_level(self, std: float) -> None:
        """Set the initial gain to 1 / `std`, for a prediction error of standard deviation `std`."""
        wanted = torch.tensor(std).log().neg().clamp(max=LARGEST_LOG_GAIN - 0.1)
        raw = LARGEST_LOG_GAIN - torch.log(torch.expm1(LARGEST_LOG_GAIN - wanted))
        with torch.no_grad():
            self.bias.view(self.num_channels, -1)[:, 0] = raw / PARAMETER_GAIN

    def raw_parameters(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Compute the unbounded log-gain and reflection coefficients, shape (B, C (1 + K), L)."""
        return PARAMETER_GAIN * super().raw_parameters(x, context)

    def filters(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Compute each frame's filter; see `CausalConvolution.filters`.

        Returns:
            log-gains (B, C, L), at most `LARGEST_LOG_GAIN`, and taps -a_k (B, C, L, K); the tap of
            the newest sample comes first.
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
            before: the signal before the piece, shape (B, C, n). The filter reads the last K
                samples; missing samples are zeros.
        Returns:
            x, shape (B, C, T). The joined pieces equal one call of `inverse`.
        """
        with full_precision(z):
            driven, coefficients, _ = self.synthesis(z, context)
            return continue_filter(driven, coefficients, before.flatten(0, 1)).view_as(z)
