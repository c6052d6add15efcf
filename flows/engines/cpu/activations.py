"""Compiled activations of a WaveNet, in float32: rectifier, gated units, scale and shift."""

import numba
import numpy as np

from flows.engines.cpu.instructions.intrinsics import (
    CONTRACT,
    as_float,
    as_int,
    compiled_inside,
    whole_vectors,
)


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def rectify_rows(
    rows: np.ndarray, row: int, column: int, gain: np.float32, out: np.ndarray
) -> None:  # pragma: no cover
    """Write max(gain * value, 0) of consecutive rows, from a column onwards; NaN stays NaN."""
    zero = np.float32(0.0)
    for b in range(out.shape[0]):
        for j in range(out.shape[1]):
            value = gain * rows[row + b, column + j]
            out[b, j] = zero if value < zero else value


_LOG2_E, _ROUND = np.float32(1.4426950408889634), np.float32(1.5 * 2**23)
# `_LN_2_HIGH` has so few bits that its product with n is exact.
_LN_2_HIGH, _LN_2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_ZERO, _ONE, _TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)
_C2, _C3, _C4, _C5, _C6, _C7 = (np.float32(1 / n) for n in (2, 6, 24, 120, 720, 5040))


@compiled_inside(forceinline=True)
def exp_parts(x: np.float32) -> tuple[np.float32, np.float32]:  # pragma: no cover
    """Return 2^n and e^r - 1, where x = n ln 2 + r and |r| <= ln(2) / 2, for -87 <= x <= 87."""
    shifted = x * _LOG2_E + _ROUND  # the sum rounds to the integer n, in its low bits
    power = as_float((as_int(shifted) << np.int32(23)) + np.int32(0x3F800000))
    n = shifted - _ROUND
    r = x - n * _LN_2_HIGH - n * _LN_2_LOW
    # Taylor's series; the omitted terms are below 2e-8 of the sum.
    series = ((((_C7 * r + _C6) * r + _C5) * r + _C4) * r + _C3) * r + _C2
    return power, series * (r * r) + r


_LOWEST, _HIGHEST = np.float32(-40.0), np.float32(87.0)  # tanh is 1, and sigmoid 0, beyond


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def gate_parts(f: np.float32, g: np.float32) -> tuple[np.float32, np.float32]:  # pragma: no cover
    r"""Return :math:`u = e^{-2|f|} - 1` and :math:`e^{-g}`."""
    y = -_TWO * abs(f)
    power, series = exp_parts(_LOWEST if y < _LOWEST else y)
    u = power * series + (power - _ONE)
    g = -g
    g = _HIGHEST if g > _HIGHEST else g
    power, series = exp_parts(-_HIGHEST if g < -_HIGHEST else g)
    return u, power * series + power


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", forceinline=True)
def gated_units(
    gates: np.ndarray, row: int, width: int, out: np.ndarray
) -> None:  # pragma: no cover
    r"""Write tanh(f) sigmoid(g) for a row that holds `width` values f, then `width` values g.

    .. math:: \tanh(f)\,\sigma(g) = \pm\frac{-u}{(u + 2)(1 + e^{-g})}, \qquad u = e^{-2|f|} - 1

    The results are exact to a few units in the last place, because the formula has no cancellation.
    The loop runs in vector registers, because it has no branch.
    """
    whole_vectors()
    for j in range(width):
        f = gates[row, j]
        u, e = gate_parts(f, gates[row, width + j])
        value = -u / ((u + _TWO) * (_ONE + e))
        out[j] = -value if f < _ZERO else value


@compiled_inside(forceinline=True)
def bounded_scale(raw: np.float32, floor: np.float32) -> np.float32:  # pragma: no cover
    r"""Return :math:`e^{b(s)}`, where b is `flows.bound_log_scale` with the log-scale floor f.

    .. math:: e^{b(s)} = e^s + e^f, \qquad b(s) = f + \operatorname{softplus}(s - f)

    Args:
        raw: s; values beyond 87 and -87 count as these.
        floor: :math:`e^f`, the smallest scale.
    """
    highest = np.float32(87.0)
    raw = highest if raw > highest else raw
    power, series = exp_parts(-highest if raw < -highest else raw)
    return power * series + power + floor


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", forceinline=True)
def shift_and_scale(
    params: np.ndarray, row: int, floor: np.float32, x: np.ndarray, x_row: int
) -> None:  # pragma: no cover
    r"""Scale and shift a row of x; its parameters hold C locations mu, then C raw log-scales s.

    .. math:: x \leftarrow x\,(e^s + floor) + \mu

    Args:
        params: output of the network's head, shape (rows, at least 2 C).
        row: row of `params` to read.
        floor: the smallest scale, see `bounded_scale`.
        x: samples, changed in place, shape (rows, C).
        x_row: row of `x` to change.
    """
    width = x.shape[1]
    for c in range(width):
        scale = bounded_scale(params[row, width + c], floor)
        x[x_row, c] = x[x_row, c] * scale + params[row, c]
