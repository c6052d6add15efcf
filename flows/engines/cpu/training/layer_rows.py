"""Compiled parts of a gated layer between its matrix products, and their gradients.

Arrays hold float32 numbers, or bfloat16 numbers as the bits in integers of 16 bits. Results are
computed in float32, and rounded once.

The two loops over gates read them in place: with the column as a helper's argument, numba could not
tell that it is not negative, and the gradients took seven times as long.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types

from flows.engines.cpu.activations import gate_parts
from flows.engines.cpu.instructions.intrinsics import CONTRACT, instruction, whole_vectors

_ZERO, _ONE, _TWO, _FOUR = (np.float32(n) for n in (0, 1, 2, 4))


@instruction
def _read(typing_context: Any, number: Any) -> Any:
    """Return a number in float32; an integer of 16 bits holds the bits of a bfloat16 number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if signature.args[0] == types.float32:
            return arguments[0]
        word = ir.IntType(32)
        high = builder.shl(builder.zext(arguments[0], word), word(16))
        return builder.bitcast(high, ir.FloatType())

    return types.float32(number), generate


@instruction
def _like(typing_context: Any, number: Any, value: Any) -> Any:
    """Return a value in float32, or rounded to the nearest bfloat16 number, as `number` is.

    NaN stays NaN, if it is the NaN that a computation gives.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if signature.args[0] == types.float32:
            return arguments[1]
        word = ir.IntType(32)
        bits = builder.bitcast(arguments[1], word)
        is_odd = builder.and_(builder.lshr(bits, word(16)), word(1))
        bits = builder.add(bits, builder.add(is_odd, word(0x7FFF)))
        return builder.trunc(builder.lshr(bits, word(16)), ir.IntType(16))

    return number(number, types.float32), generate


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", nogil=True)
def gate_rows(
    gates: np.ndarray, context: np.ndarray, span: int, out: np.ndarray
) -> None:  # pragma: no cover
    """Write tanh(f) sigmoid(g) for rows of values f, then g.

    Args:
        gates: shape (N, 2 W).
        context: frames that are added to the gates, shape (N / span, 2 W).
        span: number of rows that a frame is added to.
        out: shape (N, W).
    """
    whole_vectors()
    width = out.shape[1]
    for row in range(out.shape[0]):
        frame = row // span
        for j in range(width):
            f = _read(gates[row, j]) + _read(context[frame, j])
            g = _read(gates[row, width + j]) + _read(context[frame, width + j])
            u, e = gate_parts(f, g)
            value = -u / ((u + _TWO) * (_ONE + e))
            out[row, j] = _like(gates[row, j], -value if f < _ZERO else value)


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", nogil=True)
def gate_slopes(
    gates: np.ndarray, context: np.ndarray, span: int, slopes: np.ndarray, out: np.ndarray
) -> None:  # pragma: no cover
    r"""Write the gradient of `gate_rows` with respect to the gates.

    .. math:: 1 - \tanh^2(f) = \frac{4 (u + 1)}{(u + 2)^2}, \qquad
              \sigma'(g) = \frac{e^{-g}}{(1 + e^{-g})^2}

    Args:
        gates: shape (N, 2 W).
        context: see `gate_rows`.
        span: see `gate_rows`.
        slopes: gradient with respect to the result, shape (N, W).
        out: gradient with respect to the gates, shape (N, 2 W).
    """
    whole_vectors()
    width = slopes.shape[1]
    for row in range(slopes.shape[0]):
        frame = row // span
        for j in range(width):
            f = _read(gates[row, j]) + _read(context[frame, j])
            g = _read(gates[row, width + j]) + _read(context[frame, width + j])
            u, e = gate_parts(f, g)
            sigmoid, over = _ONE / (_ONE + e), _ONE / (u + _TWO)
            tanh = -u * over
            tanh = -tanh if f < _ZERO else tanh
            slope = _read(slopes[row, j]) * sigmoid
            out[row, j] = _like(gates[row, j], slope * _FOUR * (u + _ONE) * over * over)
            out[row, width + j] = _like(gates[row, j], slope * tanh * e * sigmoid)


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", nogil=True)
def carry_rows(
    h: np.ndarray,
    out: np.ndarray,
    total: np.ndarray,
    gain: np.float32,
    next_h: np.ndarray,
    next_total: np.ndarray,
) -> None:  # pragma: no cover
    """Write a layer's two results from the last product: the next input, and the sum of skips.

    Args:
        h: the layer's input, shape (N, R).
        out: the product, shape (N, R + S): a residual, then a skip.
        total: the sum of the skips before, shape (N, S).
        gain: factor of the next input.
        next_h: gain (h + residual), shape (N, R).
        next_total: total + skip, shape (N, S).
    """
    whole_vectors()
    width = h.shape[1]
    for row in range(h.shape[0]):
        for j in range(width):
            value = gain * (_read(h[row, j]) + _read(out[row, j]))
            next_h[row, j] = _like(h[row, j], value)
        for j in range(total.shape[1]):
            value = _read(total[row, j]) + _read(out[row, width + j])
            next_total[row, j] = _like(h[row, 0], value)


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", nogil=True)
def carry_slopes(
    next_h: np.ndarray,
    next_total: np.ndarray,
    gain: np.float32,
    h: np.ndarray,
    out: np.ndarray,
) -> None:  # pragma: no cover
    """Write the gradients of `carry_rows`; the one of `total` is that of `next_total`.

    Args:
        next_h: gradient with respect to `next_h`, shape (N, R).
        next_total: gradient with respect to `next_total`, shape (N, S).
        gain: see `carry_rows`.
        h: gradient with respect to `h`, shape (N, R).
        out: gradient with respect to `out`, shape (N, R + S).
    """
    whole_vectors()
    width = h.shape[1]
    for row in range(h.shape[0]):
        for j in range(width):
            h[row, j] = _like(h[row, j], gain * _read(next_h[row, j]))
        for j in range(width):
            out[row, j] = h[row, j]
        for j in range(next_total.shape[1]):
            out[row, width + j] = next_total[row, j]
