"""The parts of a gated layer between its matrix products, compiled for training on a CPU.

Each part is one operation of autograd: one pass over the memory for the result, and one for the
gradients. PyTorch takes several passes for each, and in bfloat16 it computes the sigmoid of a part
of the channels number by number.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
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


def gated_rows(gates: Tensor, context: Tensor | None) -> Tensor:
    r"""Compute tanh(f + c_f) sigmoid(g + c_g).

    Args:
        gates: f, then g, shape (B, T, 2R).
        context: c_f, then c_g, shape (B, L, 2R); each frame serves T / L samples.
    Returns:
        gated units, shape (B, T, R), in the type of `gates`.
    """
    if context is None:
        context = gates.new_zeros(gates.shape[0], 1, gates.shape[2])
    units: Tensor = _Gates.apply(gates.contiguous(), context.to(gates).contiguous())
    return units


def carried_rows(
    h: Tensor, out: Tensor, total: Tensor | None, gain: float
) -> tuple[Tensor, Tensor]:
    """Compute a layer's two results from its last product.

    Args:
        h: the layer's input, shape (B, T, R).
        out: the product, a residual, then a skip, shape (B, T, R + S).
        total: the sum of the skips of the layers before, shape (B, T, S); None for 0.
        gain: factor of the next input.
    Returns:
        the next layer's input, gain (h + residual), shape (B, T, R); the sum of the skips so far,
        shape (B, T, S).
    """
    if total is None:
        total = out.new_zeros(*h.shape[:2], out.shape[2] - h.shape[2])
    carried: tuple[Tensor, Tensor] = _Carry.apply(h.contiguous(), out.contiguous(), total, gain)
    return carried


class _Gates(torch.autograd.Function):
    """`gated_rows`; it keeps its arguments for the gradient, and nothing else."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, context: Tensor) -> Tensor:
        from flows.engines.cpu.training.layer_rows import gate_rows  # loads numba

        ctx.save_for_backward(gates, context)
        units = gates.new_empty(*gates.shape[:2], gates.shape[2] // 2)
        span = gates.shape[1] // context.shape[1]
        gate_rows(_rows(gates), _rows(context), span, _rows(units))
        return units

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor, Tensor | None]:
        from flows.engines.cpu.training.layer_rows import gate_slopes  # loads numba

        gates, context = ctx.saved_tensors
        found, span = torch.empty_like(gates), gates.shape[1] // context.shape[1]
        slopes = slopes.contiguous()
        gate_slopes(_rows(gates), _rows(context), span, _rows(slopes), _rows(found))
        of_context = None
        if ctx.needs_input_grad[1]:
            of_context = found.unflatten(1, (context.shape[1], span)).sum(2)
        return found, of_context


class _Carry(torch.autograd.Function):
    """`carried_rows`."""

    @staticmethod
    def forward(
        ctx: Any, h: Tensor, out: Tensor, total: Tensor, gain: float
    ) -> tuple[Tensor, Tensor]:
        from flows.engines.cpu.training.layer_rows import carry_rows  # loads numba

        ctx.gain, total = np.float32(gain), total.contiguous()
        next_h, next_total = torch.empty_like(h), torch.empty_like(total)
        before = (_rows(h), _rows(out), _rows(total))
        carry_rows(*before, ctx.gain, _rows(next_h), _rows(next_total))
        return next_h, next_total

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, next_h: Tensor, next_total: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, None]:
        from flows.engines.cpu.training.layer_rows import carry_slopes  # loads numba

        h, width = torch.empty_like(next_h), next_h.shape[2]
        out = next_h.new_empty(*next_h.shape[:2], width + next_total.shape[2])
        next_h, next_total = next_h.contiguous(), next_total.contiguous()
        carry_slopes(_rows(next_h), _rows(next_total), ctx.gain, _rows(h), _rows(out))
        return h, out, next_total, None


def _rows(signal: Tensor) -> np.ndarray:
    """View a contiguous signal (B, T, C) as rows (B T, C); bfloat16 numbers become their bits."""
    rows = signal.detach().flatten(0, 1)
    found: np.ndarray = (rows.view(torch.uint16) if rows.dtype == torch.bfloat16 else rows).numpy()
    return found
