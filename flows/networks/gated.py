"""The gated residual layer of WaveNets, and its cached evaluation sample by sample."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from flows.networks.compiled_layer import as_image, compiles_rows, layer_rows, rows_of
from flows.networks.weight_norm import normalised_conv
from flows.streaming_state import Past

SQRT_HALF = math.sqrt(0.5)

Stack = Callable[[Tensor, Tensor | None, Past | None], Tensor]
"""The type of `residual_stack` for given layers: a map from the input h, the gates and the past to
the sum of skips."""


class ResidualLayer(nn.Module):
    r"""One gated layer: dilated convolution, context, gate, residual and skip.

    .. math:: g = \tanh(W_f * h + V_f c) \odot \sigma(W_g * h + V_g c)

    One dilated convolution computes filter and gate. One 1x1 convolution computes residual and
    skip.

    Args:
        channels: width R of the residual path and of each gate half.
        skip_channels: width S of the skip output; may be 0.
        kernel_size: taps of the dilated convolution.
        dilation: samples from one tap to the next.
        causal: whether the last tap reads the current sample. Otherwise the middle tap reads the
            current sample, and the layer sees as far ahead as back.
    References:
        WaveNet (van den Oord et al., 2016), eq. 3. arXiv:1609.03499
    """

    def __init__(
        self,
        channels: int,
        skip_channels: int,
        kernel_size: int,
        dilation: int,
        causal: bool = True,
    ) -> None:
        super().__init__()
        self.dilation = dilation
        self.history = (kernel_size - 1) * dilation
        self.look_ahead = 0 if causal else self.history // 2
        self.recompute = False  # see `recompute_layers`
        self.gate = normalised_conv(channels, 2 * channels, kernel_size, dilation=dilation)
        self.out = normalised_conv(channels, channels + skip_channels, 1)

    def forward(
        self, h: Tensor, context: Tensor | None, past: Past | None = None
    ) -> tuple[Tensor, Tensor]:
        """Compute the layer's two outputs.

        Args:
            h: the layer's input, shape (B, R, T).
            context: gate context, shape (B, 2R, L), or None.
            past: streaming state of a signal in chunks, for causal layers only.
        Returns:
            the next residual, shape (B, R, T), and the skip output, shape (B, S, T).
        """
        window = self._window(h, past, time=2)
        out = self.out(gated_units(self.gate(window), context, dim=1))
        residual, skip = out.split([h.shape[1], out.shape[1] - h.shape[1]], dim=1)
        return (h + residual) * SQRT_HALF, skip

    def forward_and_sum(
        self, h: Tensor, context: Tensor | None, past: Past | None, total: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Compute `forward`, and add the skip output to `total`, (B, S, T); None for 0."""
        h, skip = self(h, context, past)
        return h, skip if total is None else total + skip

    def forward_rows(
        self, h: Tensor, context: Tensor | None, past: Past | None, total: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Compute `forward` on tensors whose last dimension is the channels, and sum the skips.

        Args:
            h: the layer's input, shape (B, T, R).
            context: gate context, shape (B, L, 2R).
            past: streaming state of a signal in chunks.
            total: the sum of the skips of the layers before, shape (B, T, S); None for 0.
        Returns:
            the next residual, shape (B, T, R), and the sum of the skips so far, shape (B, T, S).
        """
        window = self._window(h, past, time=1)
        if compiles_rows(h):
            return layer_rows(h, window, context, total, self.gate, self.out, SQRT_HALF)
        gates = F.conv2d(
            as_image(window),
            self.gate.weight.unsqueeze(2),
            self.gate.bias,
            dilation=(1, self.dilation),
        )
        rows = rows_of(gates)
        out = F.linear(gated_units(rows, context, dim=2), *as_matrix(self.out))
        residual, skip = out.split([h.shape[2], out.shape[2] - h.shape[2]], dim=2)
        return (h + residual) * SQRT_HALF, skip if total is None else total + skip

    def _window(self, h: Tensor, past: Past | None, time: int) -> Tensor:
        """Extend a signal at both ends by the samples that the convolution reads there.

        The samples in front are the past, if the signal comes in chunks. All other samples are
        zeros. `time` is the signal's dimension of time.
        """
        if past is not None:
            assert not self.look_ahead
            return past.before(h, self.history, time)
        ends = (self.history - self.look_ahead, self.look_ahead)
        return F.pad(h, ends if time == 2 else (0, 0, *ends))

    def start(self, silent: Tensor) -> "LayerCache":
        """Return the cache of a causal layer before the first sample.

        Args:
            silent: the layer's input at all times before the first sample, shape (B, R).
        """
        assert not self.look_ahead
        out_weight, out_bias = as_matrix(self.out)
        return LayerCache(
            gate_weight=self.gate.weight.permute(2, 1, 0).flatten(0, 1).contiguous(),
            out_weight=out_weight.T.contiguous(),
            out_bias=out_bias,
            taps=tuple(range(0, self.history, self.dilation)),
            past=deque([silent] * self.history, maxlen=self.history),
        )


def gated_units(gates: Tensor, context: Tensor | None, dim: int) -> Tensor:
    r"""Compute tanh(f + c_f) sigmoid(g + c_g).

    Args:
        gates: f, then g, shape (B, 2R, T), or (B, T, 2R) if `dim` is 2.
        context: c_f, then c_g, shape (B, 2R, L), or (B, L, 2R) if `dim` is 2; each frame serves
            T / L samples.
        dim: dimension of the channels, 1 or 2.
    Returns:
        gated units, shape (B, R, T), or (B, T, R) if `dim` is 2.
    """
    if context is not None:
        # One frame serves T / L samples: broadcast the frame instead of repeating it in memory.
        time = 3 - dim
        framed = gates.unflatten(time, (context.shape[time], -1)) + context.unsqueeze(time + 1)
        gates = framed.flatten(time, time + 1)
    tanh, sigmoid = gates.chunk(2, dim=dim)
    return torch.tanh(tanh) * torch.sigmoid(sigmoid)


def prefers_rows(h: Tensor) -> bool:
    """Return whether layers are faster with channels as the last dimension, (B, T, R).

    In bfloat16 on a CPU, layers are faster with channels last: oneDNN's convolutions reorder a
    signal (B, R, T) before and after each convolution. In float32 on several threads of a CPU, both
    layouts are equally fast; on one thread, rows are faster, because they have compiled parts.
    Other devices have not been measured.
    """
    return h.device.type == "cpu" and (h.dtype == torch.bfloat16 or compiles_rows(h))


def residual_stack(
    layers: nn.ModuleList, h: Tensor, gates: Tensor | None, past: Past | None = None
) -> Tensor:
    """Chain gated layers.

    Args:
        layers: `ResidualLayer`s of equal width.
        h: input of the first layer, shape (B, R, T).
        gates: gate context of each layer, shape (B, num_layers, 2R, L).
        past: streaming state of a signal in chunks.
    Returns:
        the sum of the skip outputs (B, S, T), scaled to the variance of one skip output; for layers
        without skips, the last residual (B, R, T).
    """
    # Hooks on layers, and the states of exported streams in float32, have channels before time.
    has_hooks = any(layer._forward_hooks for layer in layers)
    has_state = past is not None and h.dtype == torch.float32
    in_rows = prefers_rows(h) and not has_hooks and not has_state
    if in_rows:
        h = h.transpose(1, 2).contiguous()
        gates = None if gates is None else gates.transpose(2, 3).contiguous()
    total: Tensor | None = None
    for i, layer in enumerate(layers):
        assert isinstance(layer, ResidualLayer)
        context = None if gates is None else gates[:, i]
        run = layer.forward_rows if in_rows else layer.forward_and_sum
        arguments = (h, context, past, total)
        if layer.recompute and past is None and torch.is_grad_enabled():
            h, total = checkpoint(run, *arguments, use_reentrant=False, preserve_rng_state=False)
        else:
            h, total = run(*arguments)
    has_skips = total is not None and total.shape[2 if in_rows else 1] > 0
    out = total * skip_gain(len(layers)) if total is not None and has_skips else h
    return out.transpose(1, 2) if in_rows else out


def recompute_layers(module: nn.Module) -> None:
    """Make every gated layer keep only its input for the backward pass, and recompute the rest.

    Gradients do not change. A training step takes one more forward pass and a fraction of the
    memory.

    References:
        Training deep nets with sublinear memory cost (Chen et al., 2016). arXiv:1604.06174
    """
    for layer in module.modules():
        if isinstance(layer, ResidualLayer):
            layer.recompute = True


def skip_gain(num_layers: int) -> float:
    """Return the factor that scales the sum of `num_layers` skips to the variance of one skip."""
    return 1.0 / math.sqrt(num_layers)


class Recent(Protocol):
    """A fixed number of a layer's last inputs, with the interface of a full deque."""

    def __getitem__(self, age: int, /) -> Tensor:
        """Return an input (B, R); 0 is the oldest."""

    def append(self, h: Tensor, /) -> Any:
        """Append the newest input and drop the oldest."""


@dataclass
class LayerCache:
    """A layer's weights, laid out for a single step, and the past inputs that the layer reads."""

    gate_weight: Tensor  # (kernel * R, 2R)
    out_weight: Tensor  # (R, R + S)
    out_bias: Tensor
    taps: tuple[int, ...]  # positions in `past` that the kernel reads, oldest first
    past: Recent  # the last (kernel - 1) * dilation inputs

    def step(self, h: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Advance by one sample.

        Args:
            h: the layer's input, shape (B, R).
            bias: bias of the gates plus their context, shape (B, 2R).
        Returns:
            the next residual (B, R) and the skip output (B, S), as `ResidualLayer.forward` computes
            them.
        """
        width = h.shape[1]
        window = torch.cat([*(self.past[tap] for tap in self.taps), h], 1)
        self.past.append(h)
        gates = torch.addmm(bias, window, self.gate_weight)
        gated = torch.tanh(gates[:, :width]) * torch.sigmoid(gates[:, width:])
        out = torch.addmm(self.out_bias, gated, self.out_weight)
        return (h + out[:, :width]) * SQRT_HALF, out[:, width:]


def as_matrix(conv: nn.Conv1d) -> tuple[Tensor, Tensor]:
    """Read a 1x1 convolution as the weight and bias of a matrix product."""
    assert conv.bias is not None
    return conv.weight[..., 0], conv.bias
