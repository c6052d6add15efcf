"""Compiled arithmetic of a WaveNet, in float32: small matrix products and gates.

The order of every sum is fixed: a row's result depends neither on the rows computed with it nor on
the number of threads. Functions of arrays are inlined into callers: passing arrays takes time.
"""

from typing import Any

import numba
import numpy as np

from flows.engines.cpu.intrinsics import (
    CONTRACT,
    LANES,
    VECTORS,
    as_float,
    as_int,
    compiled_inside,
    pointer_to,
    whole_vectors,
)
from flows.engines.cpu.products import round_vector, row_products, tile_product

_tile_1, _tile_2, _tile_4 = (tile_product(rows, VECTORS) for rows in (1, 2, 4))
_half_tile_1, _half_tile_4 = (tile_product(rows, VECTORS // 2) for rows in (1, 4))
_PANELS = ((0, 0, 0), (1, 1, 0))
_two_panels, _two_half_panels = (row_products(n, _PANELS) for n in (VECTORS, VECTORS // 2))
_HALVES = ((0, 0, 0), (0, 0, 1), (1, 1, 0), (2, 1, 1))
_halves, _halves_of_half_panels = (row_products(n, _HALVES) for n in (VECTORS, VECTORS // 2))
_narrow_tile_1, _narrow_tile_4 = (tile_product(rows, 1) for rows in (1, 4))


@compiled_inside()
def _multiply_rows(
    out: Any,
    out_width: int,
    x: Any,
    x_width: int,
    num_rows: int | np.int64,
    weights: Any,
    num_panels: int,
    all_inputs: int,
    columns: int,
    depth: int,
    apart: bool,
) -> None:  # pragma: no cover
    """Multiply rows of x by `depth` inputs of a matrix in panels of `all_inputs` inputs.

    `out`, `x` and `weights` are pointers: the function is not inlined, and arrays are slow to pass.
    """
    narrow, half = columns == LANES, 2 * columns == VECTORS * LANES
    done = 0  # panels
    if num_rows == 1 and not apart and not narrow:
        done = num_panels - num_panels % 2
        for panel in range(0, done, 2):
            out_at, w_at = panel * columns, panel * all_inputs * columns
            ats = ((out_at, out_at + columns), (w_at, w_at + all_inputs * columns))
            if half:
                _two_half_panels((out, out), ats[0], x, 0, (weights, weights), ats[1], depth)
            else:
                _two_panels((out, out), ats[0], x, 0, (weights, weights), ats[1], depth)
    for panel in range(done, num_panels):
        w_at = panel * all_inputs * columns
        row = 0
        while row < num_rows:
            to = (out, row * out_width + panel * columns, out_width)
            source = (x, row * x_width, x_width)
            if num_rows - row >= 4:
                if narrow:
                    _narrow_tile_4(*to, *source, weights, w_at, depth, apart)
                elif half:
                    _half_tile_4(*to, *source, weights, w_at, depth, apart)
                else:
                    _tile_4(*to, *source, weights, w_at, depth, apart)
                row += 4
            elif narrow:
                _narrow_tile_1(*to, *source, weights, w_at, depth, apart)
                row += 1
            elif half:
                _half_tile_1(*to, *source, weights, w_at, depth, apart)
                row += 1
            elif num_rows - row >= 2:
                _tile_2(*to, *source, weights, w_at, depth, apart)
                row += 2
            else:
                _tile_1(*to, *source, weights, w_at, depth, apart)
                row += 1


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def multiply_add_some(
    out: np.ndarray,
    out_row: int,
    x: np.ndarray,
    x_row: int,
    num_rows: int,
    weights: np.ndarray,
    which: int,
    first: int,
    stop: int,
    apart: bool,
) -> None:  # pragma: no cover
    """Multiply as `multiply_add` does, but only the inputs from `first` to `stop`.

    The sum begins with the value in `out`, or with zero and is added when complete (`apart`).
    """
    _, num_panels, all_inputs, columns = weights.shape
    out_width, x_width = out.shape[1], x.shape[1]
    # Literal arguments would each get a compiled function of their own.
    _multiply_rows(
        pointer_to(out, out_row * out_width),
        out_width,
        pointer_to(x, x_row * x_width + first),
        x_width,
        np.int64(num_rows),
        pointer_to(weights, (which * num_panels * all_inputs + first) * columns),
        num_panels,
        all_inputs,
        columns,
        stop - first,
        bool(apart),
    )


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def multiply_add(
    out: np.ndarray,
    out_row: int,
    x: np.ndarray,
    x_row: int,
    num_rows: int,
    weights: np.ndarray,
    which: int,
) -> None:  # pragma: no cover
    """Multiply rows of x, from `x_row`, by matrix `which`; add them to `out` from `out_row`.

    Weights have shape (matrices, panels, depth, columns); panels are wide, half as wide or narrow.
    """
    depth = weights.shape[2]
    multiply_add_some(out, out_row, x, x_row, num_rows, weights, which, 0, depth, False)


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", forceinline=True)
def are_alike(weights: np.ndarray, others: np.ndarray) -> bool:  # pragma: no cover
    """Return whether `multiply_add_halves` accepts matrices of these two layouts."""
    _, num_panels, depth, columns = weights.shape
    like = others.shape[1] == num_panels and others.shape[3] == columns
    return like and depth % 2 == 0 and columns > LANES


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", forceinline=True)
def multiply_add_halves(
    out: np.ndarray,
    out_row: int,
    other: np.ndarray,
    other_row: int,
    x: np.ndarray,
    weights: np.ndarray,
    other_weights: np.ndarray,
    which: int,
) -> None:  # pragma: no cover
    """Multiply the row x by two matrices, with a separate sum over each half of the inputs.

    Both sums of the product with `weights` are added to row `out_row` of `out`: the first sum
    begins with the row, and the second sum is added when it is complete. The sums of the product
    with `other_weights` are added to row `other_row` of `other` and to the next row. The results
    equal `multiply_add_some` to the bit. `are_alike` tells which pairs of matrices fit.
    """
    _, num_panels, depth, columns = weights.shape
    for panel in range(num_panels):
        w_at = (which * num_panels + panel) * depth * columns
        out_at = out_row * out.shape[1] + panel * columns
        other_at = other_row * other.shape[1] + panel * columns
        others = pointer_to(other, 0)
        outs = (pointer_to(out, 0), others, others)
        out_ats = (out_at, other_at, other_at + other.shape[1])
        both = (pointer_to(weights, 0), pointer_to(other_weights, 0))
        if 2 * columns == VECTORS * LANES:
            _halves_of_half_panels(outs, out_ats, pointer_to(x, 0), 0, both, (w_at, w_at), depth)
        else:
            _halves(outs, out_ats, pointer_to(x, 0), 0, both, (w_at, w_at), depth)


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def fill_rows(
    out: np.ndarray, row: int, num_rows: int, values: np.ndarray
) -> None:  # pragma: no cover
    """Write the values to each of `num_rows` consecutive rows."""
    for r in range(row, row + num_rows):
        for j in range(values.size):
            out[r, j] = values[j]


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def round_rows(
    rows: np.ndarray,
    row: int,
    num_rows: int,
    first: int,
    stop: int,
    out: np.ndarray,
    out_row: int,
) -> None:  # pragma: no cover
    """Round consecutive rows to pairs of bfloat16 numbers, if `out` holds pairs; else do nothing.

    Columns `first` to `stop` are rounded in whole vectors: the rows of both arrays must be long
    enough for whole vectors.
    """
    for r in range(num_rows):
        for j in range(first, stop, LANES):
            at = (out_row + r) * out.shape[1] + j // 2
            round_vector(rows, (row + r) * rows.shape[1] + j, out, at)


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
# The first has so few bits that its product with n is exact.
_LN_2_HIGH, _LN_2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_ZERO, _ONE, _TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)
_C2, _C3, _C4, _C5, _C6, _C7 = (np.float32(1 / n) for n in (2, 6, 24, 120, 720, 5040))


@compiled_inside(forceinline=True)
def _exp_parts(x: np.float32) -> tuple[np.float32, np.float32]:  # pragma: no cover
    """Return 2^n and e^r - 1, where x = n ln 2 + r and |r| <= ln(2) / 2, for -87 <= x <= 87."""
    shifted = x * _LOG2_E + _ROUND  # the sum rounds to the integer n, in its low bits
    power = as_float((as_int(shifted) << np.int32(23)) + np.int32(0x3F800000))
    n = shifted - _ROUND
    r = x - n * _LN_2_HIGH - n * _LN_2_LOW
    # Taylor's series; the omitted terms are below 2e-8 of the sum.
    series = ((((_C7 * r + _C6) * r + _C5) * r + _C4) * r + _C3) * r + _C2
    return power, series * (r * r) + r


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
    lowest, highest = np.float32(-40.0), np.float32(87.0)  # tanh is 1 and sigmoid 0 in float32
    for j in range(width):
        f = gates[row, j]
        y = -_TWO * abs(f)
        power, series = _exp_parts(lowest if y < lowest else y)
        u = power * series + (power - _ONE)
        g = -gates[row, width + j]
        g = highest if g > highest else g
        power, series = _exp_parts(-highest if g < -highest else g)
        value = -u / ((u + _TWO) * (_ONE + (power * series + power)))
        out[j] = -value if f < _ZERO else value


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", forceinline=True)
def shift_and_scale(
    params: np.ndarray, row: int, floor: np.float32, x: np.ndarray, x_row: int
) -> None:  # pragma: no cover
    r"""Scale and shift a row of x; its parameters hold C locations mu, then C raw log-scales s.

    .. math:: x \leftarrow x\,(e^s + e^{floor}) + \mu, \qquad
              \log(e^s + e^{floor}) = floor + \operatorname{softplus}(s - floor)

    Args:
        params: output of the network's head, shape (rows, at least 2 C).
        row: row of `params` to read.
        floor: the smallest scale; `flows.bound_log_scale` takes its logarithm.
        x: samples, changed in place, shape (rows, C).
        x_row: row of `x` to change.
    """
    width, highest = x.shape[1], np.float32(87.0)
    for c in range(width):
        raw = params[row, width + c]
        raw = highest if raw > highest else raw
        power, series = _exp_parts(-highest if raw < -highest else raw)
        scale = power * series + power + floor
        x[x_row, c] = x[x_row, c] * scale + params[row, c]


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def bounded_log_scale(raw: np.float32, floor: float) -> float:  # pragma: no cover
    """Bound a log-scale as `flows.bound_log_scale` does; a test compares the two functions."""
    above = np.float64(raw) - floor
    return floor + (above if above > 20.0 else np.log1p(np.exp(above)))
