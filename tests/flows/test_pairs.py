"""Layers in pairs of bfloat16 numbers draw what float32 does, but for the rounding of factors."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor

from flows import choose_engine, draw_chunks
from flows.compiled import crew
from flows.compiled.intrinsics import LANES, MULTIPLIES_PAIRS, VECTORS
from flows.compiled.kernels import multiply_add, round_rows
from flows.compiled.panels import in_panels
from flows.engines import multiplies_in_pairs
from tests.flows import test_crew, test_sequential
from tests.flows.test_crew import drawn_by, hire

IN_PAIRS = [False, True][: 1 + MULTIPLIES_PAIRS]
ROUNDING = 2.0**-9
"""Of a factor, relative, at most: half the distance of two bfloat16 numbers."""


def mixed(enabled: bool = True) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled)


def pairs_of(rows: Tensor) -> np.ndarray:
    return rows.bfloat16().contiguous().view(torch.int32).numpy()


def test_rows_round_to_the_nearest_and_keep_what_is_no_number() -> None:
    torch.manual_seed(0)
    rows = torch.randn(5, 3 * LANES) * 10 ** torch.empty(5, 3 * LANES).uniform_(-20, 20)
    tie = 1 + 2.0**-8  # halfway: to the even one below
    rows[2, :8] = torch.tensor([0.0, -0.0, math.inf, -math.inf, tie, -tie, 1 + 3 * 2.0**-8, 3e38])
    rows[3, 5], rows[3, 6] = math.nan, 3.4e38  # the greatest numbers round to infinity
    rows[3, 7] = torch.tensor(0x7FFFFFFF, dtype=torch.int32).view(torch.float32)  # NaN, all ones
    out = np.full((7, 3 * LANES // 2), 7, np.int32)
    round_rows(rows.numpy(), 1, 3, 2 * LANES, out, 2)
    expected = torch.from_numpy(pairs_of(rows[1:4, : 2 * LANES])).view(torch.bfloat16)
    found = torch.from_numpy(out[2:5, :LANES]).view(torch.bfloat16)
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
    assert found[2, 5].isnan()
    assert found[2, 7].isnan()
    out[2:5, :LANES] = 7
    assert (out == 7).all()


def test_rows_that_stay_as_they_are_are_not_rounded() -> None:
    rows = torch.randn(2, LANES).numpy()
    before = rows.copy()
    round_rows(rows, 0, 2, LANES, rows, 0)
    np.testing.assert_array_equal(rows, before)


@pytest.mark.parametrize("width", [LANES, LANES * VECTORS // 2, 2 * LANES * VECTORS])
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
            multiply_add(out, 1, rows, 2, num_rows, panels, 1)
            np.testing.assert_allclose(out[1:], 1 + expected.numpy(), rtol=1e-5, atol=1e-5)
            assert (out[0] == 1).all()


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


@pytest.mark.parametrize("in_pairs", IN_PAIRS)
@pytest.mark.parametrize("name", test_crew.NETS)
def test_two_threads_draw_what_one_draws(name: str, in_pairs: bool) -> None:
    flow, chunk, context = test_crew.make(name)
    with ThreadPoolExecutor(2) as pool:
        alone = drawn_by([hire(flow, 1, 1, pool, in_pairs)], chunk, context, [])
        chunk.x.zero_()
        crews = [hire(flow, 1, parts, pool, in_pairs) for parts in (2, 1)]
        assert torch.equal(drawn_by(crews, chunk, context, [16, 72, 400]), alone)


@pytest.mark.parametrize("unit", [3, 40])  # of the first thread and of the second
@pytest.mark.parametrize("name", ["skips", "no_skips_kernel_3"])
def test_what_is_not_a_number_reaches_the_sample(
    name: str, unit: int, two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "TURN", 64)
    flow, chunk, context = test_crew.make(name)
    with torch.no_grad():
        flow.conditioner.layers[0].gate.parametrizations.weight.original1[unit] = math.nan
    with mixed():
        drawn = torch.cat(list(draw_chunks(flow, chunk.noise[:1], context[:1])), -1)
    assert drawn.isnan().all()
