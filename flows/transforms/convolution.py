"""Convolutional flows: a causal filter with a positive diagonal, and its exact inverse."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsp.cepstrum import cepstra_of, taps_from_cepstrum
from dsp.filters.frame_filter import filter_by_frames, is_compiled_for
from dsp.filters.recursive import recursive_filter
from flows.networks.conditioning import check_frames
from flows.precision import full_precision
from flows.streaming_state import Past, with_past
from flows.transforms.base import Transform, check_signal, sum_over_event


class CausalConvolution(Transform):
    r"""Filter each channel by its own past: a linear predictor's residual, with a gain.

    .. math:: z_t = e^{g}\Big(x_t + \sum_{k=1}^{K} h_k\, x_{t-k}\Big), \qquad
              \log|\det J| = \sum_t g

    The Jacobian is a lower triangular Toeplitz matrix with a constant diagonal. `forward` is one
    convolution. `inverse` is the synthesis filter, a compiled recursion of T K multiplications.
    Maximum likelihood under a base of white noise is linear prediction.

    The taps h are parametrised by their cepstrum, which is initially zero. The inverse is stable if
    the response has died away by the last tap. With a context, gain and cepstrum change from frame
    to frame, and the log-spectrum of the filter is linear in the context.

    Args:
        order: number of taps besides the diagonal, K.
        num_channels: channels of the signal, each with its own filter.
        context_channels: channels H of a context (B, H, L), where each frame serves T / L samples;
            0 for one filter for all time.
    References:
        MintNet (Song et al., 2019), sec. 3.1: masked convolutions with a positive diagonal.
        arXiv:1907.07945
        Linear prediction of speech (Markel & Gray, 1976).
    """

    def __init__(self, order: int, num_channels: int = 1, context_channels: int = 0) -> None:
        super().__init__()
        if order < 1 or num_channels < 1:
            raise ValueError(
                f"CausalConvolution needs order and num_channels of at least 1, got {order} and "
                f"{num_channels}"
            )
        self.order = order
        self.num_channels = num_channels
        self.context_channels = context_channels
        size = num_channels * (1 + order)  # for each channel: the gain, then the cepstrum
        self.bias = nn.Parameter(torch.zeros(size, 1))
        self.projection = (
            nn.Conv1d(context_channels, size, 1, bias=False) if context_channels else None
        )
        if self.projection is not None:
            nn.init.zeros_(self.projection.weight)

    def filters(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Compute each frame's filter.

        Args:
            x: the signal to be filtered, shape (B, C, T).
            context: frames, shape (B, H, L), or None without a context.
        Returns:
            log-gains (B, C, L) and taps (B, C, L, K), the newest sample's tap first; L = 1 without
            context.
        Raises:
            ValueError: if a shape does not fit.
        """
        log_gain, cepstrum = self.cepstra(x, context)
        return log_gain, taps_from_cepstrum(cepstrum)

    def cepstra(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Compute each frame's log-gain and cepstrum; `filters` describes the arguments.

        Returns:
            log-gains (B, C, L) and cepstra c_1 .. c_K (B, C, L, K).
        """
        self.check(x, context)
        raw = self.raw_parameters(x, context)
        raw = raw.unflatten(1, (self.num_channels, 1 + self.order)).transpose(2, 3)
        return raw[..., 0], cepstra_of(raw)

    def check(self, x: Tensor, context: Tensor | None) -> None:
        """Raise ValueError unless signal and context have the shapes that `filters` takes."""
        check_signal(x, self.num_channels)
        check_frames(context, x, self.context_channels)

    def raw_parameters(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Compute gain and k c_k of each channel, shape (B, C (1 + K), L)."""
        if self.projection is None or context is None:
            return self.bias[None].expand(x.shape[0], -1, 1)
        # Autocast would round the taps. A tap's error is multiplied by a sample, which may be far
        # larger than the residual.
        with full_precision(x):
            raw: Tensor = self.projection(context.to(x.dtype)) + self.bias
        return raw

    def shift_and_log_scale(
        self, x: Tensor, context: Tensor | None, past: Past | None = None
    ) -> tuple[Tensor, Tensor]:
        r"""Express the filter as an autoregressive step, :math:`z_t = x_t e^{g} + \mu(x_{<t})`.

        Args:
            x: signal, shape (B, C, T).
            context: frames, shape (B, H, L), or None without a context.
            past: streaming state of a signal in chunks.
        Returns:
            shift and log-scale, shape (B, C, T) each.
        """
        log_gain, taps = self.filters(x, context)
        frames = taps.shape[2]
        span = x.shape[2] // frames
        extended = with_past(x, self.order, past)
        if is_compiled_for(x):
            rows = taps.expand(*x.shape[:2], -1, -1).flatten(0, 1)
            filtered = filter_by_frames(extended.flatten(0, 1), rows)
        else:
            # One grouped convolution filters all frames. Each group is one frame, preceded by the
            # past that the frame's filter reads.
            reach = span + self.order - 1
            blocks = extended[..., :-1].unfold(-1, reach, span)
            with full_precision(x):
                filtered = F.conv1d(
                    blocks.reshape(1, -1, reach),
                    taps.flip(-1).reshape(-1, 1, self.order),
                    groups=x.shape[0] * self.num_channels * frames,
                )
        filtered = filtered.view(*x.shape[:2], frames, span)
        shift = (filtered * log_gain.exp()[..., None]).flatten(2)
        return shift, log_gain.repeat_interleave(span, -1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Filter a signal (B, C, T); the result is the residual of linear prediction, scaled."""
        shift, log_scale = self.shift_and_log_scale(x, context)
        return x * log_scale.exp() + shift, sum_over_event(log_scale)

    def synthesis(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the input and the coefficients of the inverse, an all-pole filter.

        Args:
            z: noise, shape (B, C, T).
            context: frames, shape (B, H, L), or None without a context.
        Returns:
            the noise divided by the gain, shape (B C, T); coefficients, shape (B C, L, K);
            log-gains, shape (B, C, L).
        """
        log_gain, taps = self.filters(z, context)
        driven = z.unflatten(2, (taps.shape[2], -1)) * (-log_gain).exp()[..., None]
        return driven.flatten(2).flatten(0, 1), -taps.flatten(0, 1), log_gain

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Filter noise (B, C, T) recursively.

        Raises:
            ValueError: also if the synthesis filter is unstable and its output is not finite.
        """
        driven, coefficients, log_gain = self.synthesis(z, context)
        x = recursive_filter(driven, coefficients).view_as(z)
        if not torch.isfinite(x).all():
            raise ValueError(
                f"the inverse of a filter of order {self.order} is unstable on {z.shape[2]} "
                "samples: its output is not finite"
            )
        return x, -sum_over_event(log_gain) * (z.shape[2] // log_gain.shape[2])


class ContextFilter(CausalConvolution):
    r"""A `CausalConvolution` whose parameters are the context itself plus a bias.

    Another network computes the filter and passes it as the context. A frame of the context is a
    log-gain, then the parameters :math:`k\, c_k` for k from 1 to K.

    Args:
        order: number of taps besides the diagonal, K; the context has K + 1 channels.
    """

    def __init__(self, order: int) -> None:
        super().__init__(order)
        self.context_channels = order + 1

    def raw_parameters(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Add the bias to the context (B, 1 + K, L)."""
        assert context is not None
        return context.to(x.dtype) + self.bias
