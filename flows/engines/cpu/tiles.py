"""Products of rows of pairs by a small matrix, in the tiles of AMX.

Arrays come as pointers, because passing arrays takes time. A product reads its sums from memory,
adds to them in the tile registers, and writes them back.
"""

from typing import Any

import numba
import numpy as np

from flows.engines.cpu.instructions.amx import (
    CONFIGURATION,
    SUMS,
    TILE_ROWS,
    add_products,
    clear_sums,
    load_configuration,
    load_sums,
    release_tiles,
    store_sums,
)
from flows.engines.cpu.instructions.intrinsics import CONTRACT, LANES, compiled_inside


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def _configure(workspace: Any, rows: int) -> None:  # pragma: no cover
    if workspace[0] != np.float32(rows):
        load_configuration(workspace, rows * CONFIGURATION)
        workspace[0] = np.float32(rows)


@compiled_inside()
def multiply_rows_in_tiles(
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
) -> None:  # pragma: no cover
    """Multiply rows as `flows.engines.cpu.kernels.multiply_add_some` does, `depth` in whole tiles.

    `weights` points to the first input, in the matrix's first panel; `out`, `x` and `workspace` are
    pointers, too.
    """
    done, num_tiles = 0, columns // LANES
    while done < num_rows:
        # Whole tiles together, then the rest: each part has its own configuration.
        rest = num_rows - done
        rows = TILE_ROWS if rest > TILE_ROWS else rest
        stop = num_rows - num_rows % TILE_ROWS if rows == TILE_ROWS else num_rows
        _configure(workspace, rows)
        for panel in range(num_panels):
            w_at = panel * all_inputs * columns
            for row in range(done, stop, rows):
                at = row * out_width + panel * columns
                if apart:
                    clear_sums()
                else:
                    load_sums(out, at, out_width, num_tiles)
                add_products(x, row * x_width, x_width, weights, w_at, depth, num_tiles)
                if apart:
                    store_sums(workspace, SUMS, columns, num_tiles)
                    for r in range(rows):
                        for j in range(columns):
                            out[at + r * out_width + j] += workspace[SUMS + r * columns + j]
                else:
                    store_sums(out, at, out_width, num_tiles)
        done = stop


@compiled_inside()
def add_taps_in_tiles(
    out: Any,
    out_width: int,
    x: Any,
    x_width: int,
    x_rows: Any,
    num_rows: int,
    older: Any,
    current: Any,
    num_older: int,
    num_panels: int,
    columns: int,
    depth: int,
    workspace: Any,
) -> None:  # pragma: no cover
    """Add the products of all taps of a convolution to rows of `out`, which are read once.

    Args:
        out: pointer to the first row; `num_rows` is a multiple of `TILE_ROWS`.
        out_width: elements from row to row.
        x: pointer to the rows that all taps read.
        x_width: elements from row to row.
        x_rows: pointer to the first row of each tap: of the older taps, then of the newest.
        num_rows: number of rows of each tap.
        older: pointer to the matrices of the older taps, one after the other.
        current: pointer to the matrix of the newest tap.
        num_older: number of older taps.
        num_panels: panels of each matrix.
        columns: columns of each panel.
        depth: pairs in each row, a multiple of `TILE_PAIRS`.
        workspace: pointer to the thread's workspace.
    """
    num_tiles = columns // LANES
    _configure(workspace, TILE_ROWS)
    for panel in range(num_panels):
        w_at = panel * depth * columns
        for row in range(0, num_rows, TILE_ROWS):
            at = row * out_width + panel * columns
            load_sums(out, at, out_width, num_tiles)
            for tap in range(num_older + 1):
                x_at = (x_rows[tap] + row) * x_width
                weights, tap_at = current, w_at
                if tap < num_older:
                    weights, tap_at = older, w_at + tap * num_panels * depth * columns
                add_products(x, x_at, x_width, weights, tap_at, depth, num_tiles)
            store_sums(out, at, out_width, num_tiles)


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def begin_amx(workspace: np.ndarray) -> None:  # pragma: no cover
    """Forget the tiles' configuration: other code may have changed it."""
    if workspace.size:
        workspace[0] = np.float32(0.0)


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", inline="always")
def end_amx(workspace: np.ndarray) -> None:  # pragma: no cover
    """Give the tile registers up, so that the kernel need not save them."""
    if workspace.size:
        release_tiles()
