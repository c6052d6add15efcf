"""Products of whole tiles of pairs; on a processor without AMX, the same products without tiles."""

import numpy as np
import pytest
import torch

from flows.engines.cpu.instructions.amx import TILE_PAIRS, TILE_ROWS, amx_workspace
from flows.engines.cpu.kernels import multiply_add, multiply_add_some
from flows.engines.cpu.panels import in_panels
from tests.flows.engines.cpu.instructions.test_products import WIDTHS, pairs_of
from tests.flows.engines.cpu.test_worker_pool import IN_PAIRS

DEPTH = 4 * TILE_PAIRS
"""Numbers in a row: two tiles of pairs."""


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("in_pairs", IN_PAIRS)
@pytest.mark.parametrize("num_rows", [1, 5, TILE_ROWS, TILE_ROWS + 1, 3 * TILE_ROWS - 1])
def test_products_of_tiles_equal_those_of_their_numbers(
    width: int, in_pairs: bool, num_rows: int
) -> None:
    torch.manual_seed(width + num_rows)
    x, matrices = torch.randn(num_rows + 2, DEPTH), torch.randn(3, DEPTH, width)
    rows, panels = (pairs_of(x) if in_pairs else x.numpy()), in_panels(matrices, in_pairs)
    if in_pairs:
        x, matrices = x.bfloat16(), matrices.bfloat16()
    expected = x[2:].double() @ matrices[1].double()
    out = torch.randn(num_rows + 2, width).numpy()
    before = out.copy()
    workspace = amx_workspace(in_pairs)
    multiply_add(out, 1, rows, 2, num_rows, panels, 1, workspace)
    np.testing.assert_allclose(out[1:-1], before[1:-1] + expected.numpy(), rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(out[[0, -1]], before[[0, -1]])
    # A row's result does not depend on the rows beside it.
    alone = before.copy()
    for row in range(num_rows):
        multiply_add(alone, 1 + row, rows, 2 + row, 1, panels, 1, workspace)
    np.testing.assert_array_equal(alone, out)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("in_pairs", IN_PAIRS)
@pytest.mark.parametrize("num_rows", [1, TILE_ROWS + 3])
def test_a_sum_apart_begins_with_zero(width: int, in_pairs: bool, num_rows: int) -> None:
    torch.manual_seed(width + num_rows)
    x, matrices = torch.randn(num_rows, DEPTH), torch.randn(1, DEPTH, width)
    rows, panels = (pairs_of(x) if in_pairs else x.numpy()), in_panels(matrices, in_pairs)
    inputs, workspace = panels.shape[2], amx_workspace(in_pairs)
    for first, stop in ((0, inputs // 2), (inputs // 2, inputs)):
        found = torch.randn(num_rows, width).numpy()
        total = np.zeros_like(found)
        expected = found.copy()
        over = (0, first, stop)
        multiply_add_some(total, 0, rows, 0, num_rows, panels, *over, False, workspace)
        multiply_add_some(found, 0, rows, 0, num_rows, panels, *over, True, workspace)
        np.testing.assert_array_equal(found, expected + total)
