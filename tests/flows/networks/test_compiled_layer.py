"""A gated layer as one operation of autograd computes what PyTorch computes in float64."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flows.engines.cpu.training.layer_rows import (
    carry_rows,
    carry_slopes,
    gate_rows,
    gate_slopes,
)
from flows.engines.threads import pytorch_threads
from flows.networks.compiled_layer import as_bits, compiles_rows
from flows.networks.gated import ResidualLayer, gated_units, residual_stack
from flows.networks.weight_norm import fold_weight_norm

TOLERANCES = {torch.float32: 4e-6, torch.bfloat16: 2.0**-5}
"""Largest error of a result whose arguments have the type, relative to the largest value. What lies
between a layer's argument and a gradient is rounded several times."""

OF_ONE_PART = {torch.float32: 1e-6, torch.bfloat16: 2.0**-8}
"""The same for one compiled part of a layer, which rounds once."""

DTYPES = list(TOLERANCES)


def drawn(*shape: int, dtype: torch.dtype) -> Tensor:
    return (3 * torch.randn(*shape)).to(dtype).requires_grad_()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_frames", [0, 1, 3, 12])
@pytest.mark.parametrize("width", [1, 5, 32])
@pytest.mark.parametrize("skips", [0, 7])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_layer_and_its_gradients(
    dtype: torch.dtype, num_frames: int, width: int, skips: int, is_first: bool
) -> None:
    torch.manual_seed(width)
    layer = fold_weight_norm(ResidualLayer(width, skips, 3, 2))
    assert isinstance(layer, ResidualLayer)
    reference = copy.deepcopy(layer).double()
    inputs = {"h": drawn(2, 12, width, dtype=dtype)}
    if num_frames:
        inputs["context"] = drawn(2, num_frames, 2 * width, dtype=dtype)
    if not is_first:
        inputs["total"] = drawn(2, 12, skips, dtype=dtype)
    given = {"context": None, "past": None, "total": None} | inputs
    exact = {name: value.detach().double().requires_grad_() for name, value in inputs.items()}
    with pytorch_threads(1):
        found = layer.forward_rows(**given)
    wanted = reference.forward_rows(**given | exact)
    slopes = [torch.randn(out.shape).to(dtype) for out in found]
    gradients = torch.autograd.grad(found, [*inputs.values(), *layer.parameters()], slopes)
    expected = torch.autograd.grad(
        wanted, [*exact.values(), *reference.parameters()], [slope.double() for slope in slopes]
    )
    assert all(value.dtype == dtype for value in (*found, *gradients[: len(inputs)]))
    for value, right in zip((*found, *gradients), (*wanted, *expected), strict=True):
        assert value.shape == right.shape
        assert value.isfinite().all()
        if value.numel():
            error = (value.double() - right).abs().max() / right.abs().max()
            assert error.item() < TOLERANCES[dtype]


def assert_rounded_once(found: list[Tensor], wanted: list[Tensor]) -> None:
    for value, right in zip(found, wanted, strict=True):
        if value.numel():
            error = (value.double() - right).abs().max() / right.abs().max()
            assert error.item() < OF_ONE_PART[value.dtype]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("span", [1, 4, 24])
@pytest.mark.parametrize("width", [1, 5, 32])
def test_gated_units(dtype: torch.dtype, span: int, width: int) -> None:
    torch.manual_seed(width)
    gates, context, slopes = (
        drawn(*shape, dtype=dtype).detach()
        for shape in ((24, 2 * width), (24 // span, 2 * width), (24, width))
    )
    units, of_gates = torch.empty_like(slopes), torch.empty_like(gates)
    gate_rows(as_bits(gates), as_bits(context), span, as_bits(units))
    gate_slopes(as_bits(gates), as_bits(context), span, as_bits(slopes), as_bits(of_gates))
    exact = gates.double().requires_grad_()
    wanted = gated_units(exact[None], context.double()[None], dim=2)[0]
    (of_exact,) = torch.autograd.grad(wanted, exact, slopes.double())
    assert_rounded_once([units, of_gates], [wanted, of_exact])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("skips", [0, 7])
def test_what_a_layer_passes_on(dtype: torch.dtype, skips: int) -> None:
    torch.manual_seed(skips)
    gain = np.float32(0.5)
    h, out, total = (drawn(12, n, dtype=dtype).detach() for n in (5, 5 + skips, skips))
    next_h, next_total = torch.empty_like(h), torch.empty_like(total)
    carry_rows(*map(as_bits, (h, out, total)), gain, as_bits(next_h), as_bits(next_total))
    wide = out.double()
    wanted = [0.5 * (h.double() + wide[:, :5]), total.double() + wide[:, 5:]]
    assert_rounded_once([next_h, next_total], wanted)
    of_h, of_out = torch.empty_like(h), torch.empty_like(out)
    carry_slopes(as_bits(h), as_bits(total), gain, as_bits(of_h), as_bits(of_out))
    half = 0.5 * h.double()
    assert_rounded_once([of_h, of_out], [half, torch.cat([half, total.double()], 1)])


@pytest.mark.parametrize("dtype", DTYPES)
def test_extreme_gates_and_nan(dtype: torch.dtype) -> None:
    values = torch.tensor([0.0, 1e-30, -1e-30, 50.0, -50.0, 3e4, -3e4, math.nan])
    gates = torch.cartesian_prod(values, values).to(dtype)
    exact = gates.double().requires_grad_()
    units, slopes, found = (gates.new_empty(len(gates), n) for n in (1, 1, 2))
    no_context, slopes = torch.zeros_like(gates[:1]), torch.ones_like(slopes)
    gate_rows(as_bits(gates), as_bits(no_context), len(gates), as_bits(units))
    wanted = gated_units(exact[None], None, dim=2)[0]
    torch.testing.assert_close(units.double(), wanted, rtol=1e-2, atol=1e-6, equal_nan=True)
    gate_slopes(as_bits(gates), as_bits(no_context), len(gates), as_bits(slopes), as_bits(found))
    (expected,) = torch.autograd.grad(wanted, exact, slopes.double())
    # A gradient of NaN gates is NaN, which a training step looks for.
    has_nan = gates.isnan().any(1)
    assert found[has_nan].isnan().any(1).all()
    kept = ~has_nan
    torch.testing.assert_close(found[kept].double(), expected[kept], rtol=1e-2, atol=1e-6)


def test_a_layer_in_which_only_some_tensors_are_trained() -> None:
    torch.manual_seed(0)
    layer = ResidualLayer(8, 4, 2, 4).requires_grad_(False)
    h = drawn(1, 16, 8, dtype=torch.float32)
    for trained in ([], [layer.gate.bias], [layer.out.bias]):
        slopes = []
        for tensor in trained:
            tensor.requires_grad_(True)
        for threads in (1, 2):
            with pytorch_threads(threads):
                out, total = layer.forward_rows(h, None, None, None)
                loss = out.square().sum() + total.square().sum()
                slopes.append(torch.autograd.grad(loss, [h, *trained]))
        torch.testing.assert_close(*slopes)


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_thread_and_two_compute_the_same_stack(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layers = nn.ModuleList(ResidualLayer(16, 8, 2, dilation) for dilation in (1, 2, 4)).to(dtype)
    inputs = [drawn(2, 16, 24, dtype=dtype), drawn(2, 3, 32, 6, dtype=dtype)]
    found = []
    for threads in (1, 2):
        with pytorch_threads(threads):
            assert compiles_rows(inputs[0]) == (threads == 1)
            out = residual_stack(layers, *inputs)
            gradients = torch.autograd.grad(out.square().sum(), [*inputs, *layers.parameters()])
            found.append([out, *gradients])
    for one, two in zip(*found, strict=True):
        error = (one - two).abs().max() / two.abs().max()
        assert error.item() < TOLERANCES[dtype]


def test_only_short_numbers_on_one_thread_are_compiled() -> None:
    with pytorch_threads(1):
        assert compiles_rows(torch.zeros(1))
        assert not compiles_rows(torch.zeros(1, dtype=torch.float64))
        assert not compiles_rows(torch.zeros(1, dtype=torch.float16))
        assert not compiles_rows(torch.zeros(1, device="meta"))
