"""Compiled products of rows."""

import numpy as np
import pytest

from flows.engines.cpu.instructions.amx import amx_workspace
from flows.engines.cpu.instructions.intrinsics import LANES, VECTORS
from flows.engines.cpu.kernels import multiply_add


@pytest.mark.parametrize("columns", [LANES, LANES * VECTORS // 2, LANES * VECTORS])
@pytest.mark.parametrize("num_rows", [1, 2, 3, 4, 7, 12])
def test_rows_are_multiplied_and_added(num_rows: int, columns: int) -> None:
    generator = np.random.default_rng(num_rows)
    width, depth = 2 * columns, 19
    x = generator.normal(size=(num_rows + 2, depth + 5)).astype(np.float32)
    weights = generator.normal(size=(3, 2, depth, columns)).astype(np.float32)
    out = generator.normal(size=(num_rows + 3, width)).astype(np.float32)
    matrix = weights[1].transpose(1, 0, 2).reshape(depth, width)
    expected = out.copy()
    expected[1 : 1 + num_rows] += x[2 : 2 + num_rows, :depth] @ matrix
    multiply_add(out, 1, x, 2, num_rows, weights, 1, amx_workspace(False))
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)
