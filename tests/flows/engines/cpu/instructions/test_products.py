"""Layers in bfloat16 equal layers in float32, up to the rounding of factors."""

import math

import numpy as np
import pytest
import torch
from numba import types
from numba.core.errors import TypingError
from torch import Tensor

from flows import choose_engine
from flows.engines.choose import multiplies_in_pairs
from flows.engines.cpu.instructions import products
from flows.engines.cpu.instructions.amx import amx_workspace
from flows.engines.cpu.instructions.intrinsics import LANES, MULTIPLIES_PAIRS, VECTORS
from flows.engines.cpu.kernels import (
    are_alike,
    multiply_add,
    multiply_add_halves,
    multiply_add_some,
    round_rows,
)
from flows.engines.cpu.panels import in_panels
from tests.flows.engines import test_sequential
from tests.flows.engines.cpu.test_worker_pool import IN_PAIRS

WIDTHS = [LANES, LANES * VECTORS // 2, LANES * VECTORS, 2 * LANES * VECTORS]
ROUNDING = 2.0**-9
"""Of a factor, relative, at most: half the distance of two bfloat16 numbers."""


def mixed(enabled: bool = True) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled)


def pairs_of(rows: Tensor) -> np.ndarray:
    return rows.bfloat16().contiguous().view(torch.int32).numpy()


def test_a_processor_without_bfloat16_products_is_not_asked_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers, pairs = (types.Array(kind, 2, "C") for kind in (types.float32, types.int32))
    for able in (False, True):
        monkeypatch.setattr(products, "MULTIPLIES_PAIRS", able)
        assert not products.is_of_pairs(numbers)
    assert products.is_of_pairs(pairs)
    monkeypatch.setattr(products, "MULTIPLIES_PAIRS", False)
    with pytest.raises(TypingError, match="does not multiply pairs of bfloat16"):
        products.is_of_pairs(pairs)


@pytest.mark.parametrize("in_pairs", IN_PAIRS)
def test_rows_round_to_the_nearest_and_keep_nan(in_pairs: bool) -> None:
    torch.manual_seed(0)
    rows = torch.randn(5, 3 * LANES) * 10 ** torch.empty(5, 3 * LANES).uniform_(-20, 20)
    tie = 1 + 2.0**-8  # halfway: to the even one below
    rows[2, :8] = torch.tensor([0.0, -0.0, math.inf, -math.inf, tie, -tie, 1 + 3 * 2.0**-8, 3e38])
    rows[3, 5], rows[3, 6] = math.nan, 3.4e38  # the greatest numbers round to infinity
    rows[3, 7] = torch.tensor(0x7FFFFFFF, dtype=torch.int32).view(torch.float32)  # NaN, all ones
    if not in_pairs:  # nothing is to be done
        before = rows.clone()
        round_rows(rows.numpy(), 1, 3, 0, 2 * LANES, rows.numpy(), 1)
        torch.testing.assert_close(rows, before, rtol=0, atol=0, equal_nan=True)
        return
    out = np.full((7, 3 * LANES // 2), 7, np.int32)
    round_rows(rows.numpy(), 1, 3, 0, LANES, out, 2)
    assert (out[:, LANES // 2 :] == 7).all()
    round_rows(rows.numpy(), 1, 3, LANES, 2 * LANES, out, 2)
    expected = torch.from_numpy(pairs_of(rows[1:4, : 2 * LANES])).view(torch.bfloat16)
    found = torch.from_numpy(out[2:5, :LANES]).view(torch.bfloat16)
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
    assert found[2, 5].isnan()
    assert found[2, 7].isnan()
    out[2:5, :LANES] = 7
    assert (out == 7).all()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("in_pairs", IN_PAIRS)
def test_panels_multiply_what_they_hold(width: int, in_pairs: bool) -> None:
    torch.manual_seed(width)
    for depth in (1, 6, 19):  # an odd depth has a zero beside its last number
        for num_rows in (1, 2, 3, 4, 7):
            x = torch.randn(num_rows + 2, depth + depth % 2)
            matrices = torch.randn(3, depth, width)
            factors, panels = x, in_panels(matrices, in_pairs)
            if in_pairs:
                assert panels.dtype == np.int32
                factors, matrices = x.bfloat16(), matrices.bfloat16()
            expected = factors[2:, :depth].double() @ matrices[1].double()
            out = np.ones((num_rows + 1, width), np.float32)
            rows = pairs_of(x) if in_pairs else x.numpy()
            multiply_add(out, 1, rows, 2, num_rows, panels, 1, amx_workspace(in_pairs))
            np.testing.assert_allclose(out[1:], 1 + expected.numpy(), rtol=1e-5, atol=1e-5)
            assert (out[0] == 1).all()


@pytest.mark.parametrize("width", [w for w in WIDTHS if w > LANES])
@pytest.mark.parametrize("in_pairs", IN_PAIRS)
def test_two_products_at_once_are_those_one_after_the_other(width: int, in_pairs: bool) -> None:
    torch.manual_seed(width)
    depth, which = 24, 1
    x = torch.randn(1, depth)
    first, second = (in_panels(torch.randn(2, depth, width), in_pairs) for _ in range(2))
    assert are_alike(first, second)
    rows = pairs_of(x) if in_pairs else x.numpy()
    found = [torch.randn(3, width).numpy() for _ in range(2)]
    expected = [array.copy() for array in found]
    multiply_add_halves(found[0], 2, found[1], 1, rows, first, second, which)
    inputs, none = first.shape[2], amx_workspace(False)
    bounds = (0, inputs // 2, inputs)
    for half, apart in enumerate((False, True)):
        over = (which, bounds[half], bounds[half + 1])
        multiply_add_some(expected[0], 2, rows, 0, 1, first, *over, apart, none)
        multiply_add_some(expected[1], 1 + half, rows, 0, 1, second, *over, False, none)
    for array, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(array, wanted)


def test_unequal_shapes_are_multiplied_one_after_the_other() -> None:
    def panels(depth: int, width: int) -> np.ndarray:
        return in_panels(torch.zeros(1, depth, width))

    wide = LANES * VECTORS
    assert not are_alike(panels(24, wide), panels(24, 2 * wide))
    assert not are_alike(panels(24, wide), panels(24, wide // 2))
    assert not are_alike(panels(25, wide), panels(25, wide))
    assert not are_alike(panels(24, LANES), panels(24, LANES))


def test_autocast_to_bfloat16_asks_for_pairs() -> None:
    like = torch.zeros(1)
    assert not multiplies_in_pairs()
    assert "bfloat16" not in choose_engine(like)[1]
    with torch.autocast("cpu", torch.float16):
        assert not multiplies_in_pairs()
    with mixed():
        assert multiplies_in_pairs() == MULTIPLIES_PAIRS
        assert ("bfloat16" in choose_engine(like)[1]) == MULTIPLIES_PAIRS


@pytest.mark.parametrize("name", test_sequential.NETS)
def test_a_loop_draws_what_float64_steps_draw(name: str) -> None:
    flow, noise, context, choice = test_sequential.NETS[name].make()
    exact = test_sequential.sample(flow, noise, context, choice)
    with mixed():
        rounded = test_sequential.sample(flow, noise, context, choice)
    wide = [None if t is None else t.double() for t in (noise, context, choice)]
    reference = test_sequential.sample(flow.double(), *wide, engine="torch")
    assert rounded.dtype == torch.float32
    assert torch.equal(rounded, exact) != MULTIPLIES_PAIRS
    error = (rounded.double() - reference).square().mean().sqrt() / reference.std()
    assert error < ROUNDING


def test_pytorchs_steps_are_not_rounded() -> None:
    flow, noise, context, choice = test_sequential.NETS["linear_prediction"].make()
    exact = test_sequential.sample(flow, noise, context, choice, "torch")
    with mixed():
        assert torch.equal(test_sequential.sample(flow, noise, context, choice, "torch"), exact)
