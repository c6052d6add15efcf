"""Compiled products of a few rows by a small matrix, and copies of rows.

The order of every sum is fixed: the result for a row depends neither on the rows that are computed
together with it nor on the number of threads. Functions that take arrays are inlined into their
callers, because passing arrays takes time.
"""

from typing import Any

import numba
import numpy as np

from flows.engines.cpu.instructions.amx import TILE_PAIRS
from flows.engines.cpu.instructions.intrinsics import (
    CONTRACT,
    LANES,
    VECTORS,
    compiled_inside,
    pointer_to,
)
from flows.engines.cpu.instructions.products import (
    holds_pairs,
    round_vector,
    row_products,
    tile_product,
)
from flows.engines.cpu.tiles import multiply_rows_in_tiles

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
    num_rows: int,
    weights: Any,
    num_panels: int,
    all_inputs: int,
    columns: int,
    depth: int,
    apart: bool,
    workspace: Any,
    has_workspace: bool,
) -> None:  # pragma: no cover
    """Multiply rows of x by `depth` of a matrix's `all_inputs` inputs; add to rows of `out`.

    `weights` points to the first of these inputs, in the matrix's first panel. `out` and `x` are
    pointers, too: the function is not inlined, and arrays are slow to pass.
    """
    if holds_pairs(x) and has_workspace and depth % TILE_PAIRS == 0:
        multiply_rows_in_tiles(
            out,
            out_width,
            x,
            x_width,
            num_rows,
            weights,
            num_panels,
            all_inputs,
            columns,
            depth,
            apart,
            workspace,
        )
        return
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
    workspace: np.ndarray,
) -> None:  # pragma: no cover
    """Multiply as `multiply_add` does, but only the inputs from `first` to `stop`.

    Without `apart`, a sum begins with the value in `out`. With `apart`, a sum begins with zero, and
    the complete sum is added to the value in `out`.
    """
    _, num_panels, all_inputs, columns = weights.shape
    out_width, x_width = out.shape[1], x.shape[1]
    # Literal arguments would each get a compiled function of their own.
    _multiply_rows(
        pointer_to(out, out_row * out_width),
        out_width,
        pointer_to(x, x_row * x_width + first),
        x_width,
        int(num_rows),
        pointer_to(weights, (which * num_panels * all_inputs + first) * columns),
        num_panels,
        all_inputs,
        columns,
        stop - first,
        bool(apart),
        pointer_to(workspace, 0),
        workspace.size > 0,
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
    workspace: np.ndarray,
) -> None:  # pragma: no cover
    """Multiply rows of x, from row `x_row` on, by a matrix; add the products to rows of `out`.

    The products are added from row `out_row` on. `weights` holds several matrices, and this product
    uses number `which`. A matrix of D inputs is cut into panels of equally many outputs, so that
    the sums of a panel fit into the processor's registers: shape (matrices, panels, D, columns).
    The compiled kernels know panels of `VECTORS`, of half of `VECTORS`, and of one vector register.
    """
    depth = weights.shape[2]
    multiply_add_some(out, out_row, x, x_row, num_rows, weights, which, 0, depth, False, workspace)


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

    The product with `weights` goes to row `out_row` of `out`: the sum over the first half begins
    with the value in the row, and the complete sum over the second half is added. The product with
    `other_weights` goes to two rows of `other`: the sum over the first half is added to row
    `other_row`, and the sum over the second half to the next row. The results equal those of
    `multiply_add_some` to the bit. `are_alike` tells which pairs of matrices fit.
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

    Columns `first` to `stop` are rounded, in whole vectors. The last vector may reach beyond
    `stop`, so the rows of both arrays must be long enough for it.
    """
    for r in range(num_rows):
        for j in range(first, stop, LANES):
            at = (out_row + r) * out.shape[1] + j // 2
            round_vector(rows, (row + r) * rows.shape[1] + j, out, at)
