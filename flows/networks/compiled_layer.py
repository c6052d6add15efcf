"""A gated layer as one operation of autograd, for training on one thread of a CPU.

Its gradient is written out, so that a layer is a dozen operations of PyTorch instead of some
hundred. What lies between the matrix products is compiled, and is one pass over the memory: PyTorch
takes several passes, and in bfloat16 it computes the sigmoid of a part of the channels number by
number.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def compiles_rows(h: Tensor) -> bool:
    """Return whether this module's functions apply to layers of a type: on one thread of a CPU.

    On several threads, PyTorch divides each pass among them, which compiled functions do not.

    Args:
        h: a layer's input.
    """
    is_type = h.dtype in (torch.float32, torch.bfloat16)
    on_one = h.device.type == "cpu" and torch.get_num_threads() == 1
    return is_type and on_one and not torch.compiler.is_compiling()


def layer_rows(
    h: Tensor,
    window: Tensor,
    context: Tensor | None,
    total: Tensor | None,
    gate: nn.Conv1d,
    out: nn.Conv1d,
    gain: float,
) -> tuple[Tensor, Tensor]:
    """Compute a gated layer; see `ResidualLayer.forward_rows`.

    Args:
        h: the layer's input, shape (B, T, R).
        window: h, extended by the samples that the convolution reads before and after it.
        context: gate context, shape (B, L, 2R); each frame serves T / L samples. None for 0.
        total: the sum of the skips of the layers before, shape (B, T, S); None for 0.
        gate: the convolution that computes the gates.
        out: the convolution of width 1 that computes residual and skip.
        gain: factor of the next input.
    Returns:
        the next layer's input, gain (h + residual), shape (B, T, R); the sum of the skips so far,
        shape (B, T, S).
    """
    skips = out.out_channels - h.shape[2]
    context = h.new_zeros(h.shape[0], 1, 2 * h.shape[2]) if context is None else context
    total = h.new_zeros(*h.shape[:2], skips) if total is None else total
    weights = (gate.weight, gate.bias, out.weight, out.bias)
    found: tuple[Tensor, Tensor] = _Layer.apply(
        h, window, context, total, *weights, gate.dilation[0], gain
    )
    return found


class _Layer(torch.autograd.Function):
    """`layer_rows`."""

    @staticmethod
    def forward(
        ctx: Any,
        h: Tensor,
        window: Tensor,
        context: Tensor,
        total: Tensor,
        gate_weight: Tensor,
        gate_bias: Tensor,
        out_weight: Tensor,
        out_bias: Tensor,
        dilation: int,
        gain: float,
    ) -> tuple[Tensor, Tensor]:
        from flows.engines.cpu.training.layer_rows import carry_rows, gate_rows  # loads numba

        (batch, length, width), dtype = h.shape, h.dtype
        h, total, context = h.contiguous(), total.contiguous(), context.to(dtype).contiguous()
        gate_weight = gate_weight.to(dtype)[:, :, None]
        out_weight = out_weight.to(dtype)[..., 0]
        gates = F.conv2d(as_image(window), gate_weight, gate_bias.to(dtype), dilation=(1, dilation))
        gates = rows_of(gates).contiguous()
        units = h.new_empty(batch, length, width)
        gate_rows(_rows(gates), _rows(context), length // context.shape[1], _rows(units))
        out = torch.addmm(out_bias.to(dtype), units.flatten(0, 1), out_weight.T)
        next_h, next_total = torch.empty_like(h), torch.empty_like(total)
        ctx.gain = np.float32(gain)
        carry_rows(_rows(h), as_bits(out), _rows(total), ctx.gain, _rows(next_h), _rows(next_total))
        ctx.save_for_backward(window, gates, context, units, gate_weight, out_weight)
        ctx.dilation = dilation
        return next_h, next_total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, next_h: Tensor, next_total: Tensor) -> tuple[Tensor | None, ...]:
        from flows.engines.cpu.training.layer_rows import carry_slopes, gate_slopes  # loads numba

        window, gates, context, units, gate_weight, out_weight = ctx.saved_tensors
        needs = ctx.needs_input_grad
        needs_context, needs_gate, needs_out = needs[2], any(needs[4:6]), any(needs[6:8])
        next_h, next_total = next_h.contiguous(), next_total.contiguous()
        h, (_, length, width) = torch.empty_like(next_h), next_h.shape
        out = next_h.new_empty(next_h[..., 0].numel(), width + next_total.shape[2])
        carry_slopes(_rows(next_h), _rows(next_total), ctx.gain, _rows(h), as_bits(out))
        of_units, of_gates = out @ out_weight, torch.empty_like(gates)
        span = length // context.shape[1]
        gate_slopes(_rows(gates), _rows(context), span, as_bits(of_units), _rows(of_gates))
        of_out = of_out_bias = of_context = None
        if needs_out:
            of_out = (out.T @ units.flatten(0, 1))[..., None].float()
            of_out_bias = out.sum(0, dtype=torch.float32)
        if needs_context:
            of_context = of_gates.unflatten(1, (context.shape[1], span)).sum(2)
        of_window, of_gate, of_gate_bias = torch.ops.aten.convolution_backward(
            as_image(of_gates),
            as_image(window),
            gate_weight,
            [2 * width],
            [1, 1],
            [0, 0],
            [1, ctx.dilation],
            False,
            [0, 0],
            1,
            [True, needs_gate, needs_gate],
        )
        if needs_gate:
            of_gate, of_gate_bias = of_gate[:, :, 0].float(), of_gate_bias.float()
        of_weights = (of_gate, of_gate_bias, of_out, of_out_bias)
        return h, rows_of(of_window), of_context, next_total, *of_weights, None, None


def as_image(rows: Tensor) -> Tensor:
    """View rows (B, T, C) as images of height 1, (B, C, 1, T), whose channels come last in memory.

    PyTorch's convolutions support channels as the last dimension for images only.
    """
    return rows.transpose(1, 2).unsqueeze(2)


def rows_of(image: Tensor) -> Tensor:
    """View images (B, C, 1, T) as rows (B, T, C)."""
    return image.squeeze(2).transpose(1, 2)


def _rows(signal: Tensor) -> np.ndarray:
    """View a contiguous signal (B, T, C) as rows (B T, C); bfloat16 numbers become their bits."""
    return as_bits(signal.detach().flatten(0, 1))


def as_bits(rows: Tensor) -> np.ndarray:
    """View a contiguous tensor as an array; bfloat16 numbers become their bits."""
    found: np.ndarray = (rows.view(torch.uint16) if rows.dtype == torch.bfloat16 else rows).numpy()
    return found
