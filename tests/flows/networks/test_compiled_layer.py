"""The compiled parts of a gated layer compute what PyTorch computes in float64."""

import math

import pytest
import torch
from torch import Tensor, nn

from flows.engines.threads import pytorch_threads
from flows.networks.compiled_layer import carried_rows, compiles_rows, gated_rows
from flows.networks.gated import ResidualLayer, gated_units, residual_stack

TOLERANCES = {torch.float32: 1e-6, torch.bfloat16: 2.0**-8}
"""Largest error of a result whose arguments have the type, relative to the largest value."""

DTYPES = list(TOLERANCES)
GAIN = 0.5


def drawn(*shape: int, dtype: torch.dtype) -> Tensor:
    return (3 * torch.randn(*shape)).to(dtype).requires_grad_()


def exact(*tensors: Tensor) -> list[Tensor]:
    return [tensor.detach().double().requires_grad_() for tensor in tensors]


def assert_equal_with_gradients(
    found: tuple[Tensor, ...],
    inputs: list[Tensor],
    wanted: tuple[Tensor, ...],
    references: list[Tensor],
) -> None:
    dtype = inputs[0].dtype
    slopes = [torch.randn(out.shape).to(dtype) for out in found]
    gradients = torch.autograd.grad(found, inputs, slopes)
    expected = torch.autograd.grad(wanted, references, [slope.double() for slope in slopes])
    for value, reference in zip((*found, *gradients), (*wanted, *expected), strict=True):
        assert value.dtype == dtype
        assert value.shape == reference.shape
        if value.numel():
            error = (value.double() - reference).abs().max() / reference.abs().max()
            assert error.item() < TOLERANCES[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_frames", [0, 1, 3, 12])
@pytest.mark.parametrize("width", [1, 5, 32])
def test_gated_units(dtype: torch.dtype, num_frames: int, width: int) -> None:
    torch.manual_seed(width)
    inputs = [drawn(2, 12, 2 * width, dtype=dtype)]
    if num_frames:
        inputs.append(drawn(2, num_frames, 2 * width, dtype=dtype))
    references = exact(*inputs)
    found = gated_rows(*inputs) if num_frames else gated_rows(inputs[0], None)
    wanted = gated_units(references[0], references[1] if num_frames else None, dim=2)
    assert_equal_with_gradients((found,), inputs, (wanted,), references)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("skips", [0, 7])
@pytest.mark.parametrize("is_first", [True, False])
def test_what_a_layer_passes_on(dtype: torch.dtype, skips: int, is_first: bool) -> None:
    torch.manual_seed(skips)
    inputs = [drawn(2, 6, 5, dtype=dtype), drawn(2, 6, 5 + skips, dtype=dtype)]
    if not is_first:
        inputs.append(drawn(2, 6, skips, dtype=dtype))
    references = exact(*inputs)
    found = carried_rows(*inputs[:2], None if is_first else inputs[2], GAIN)
    h, out = references[:2]
    skip = out[..., 5:] if is_first else references[2] + out[..., 5:]
    wanted = (GAIN * (h + out[..., :5]), skip)
    assert_equal_with_gradients(found, inputs, wanted, references)


@pytest.mark.parametrize("dtype", DTYPES)
def test_extreme_gates_and_nan(dtype: torch.dtype) -> None:
    values = torch.tensor([0.0, 1e-30, -1e-30, 50.0, -50.0, 3e4, -3e4, math.nan])
    gates = torch.cartesian_prod(values, values)[None].to(dtype).requires_grad_()
    (reference,) = exact(gates)
    units = gated_rows(gates, None)
    wanted = gated_units(reference, None, dim=2)
    torch.testing.assert_close(units.double(), wanted, rtol=1e-2, atol=1e-6, equal_nan=True)
    slopes = torch.ones_like(units)
    (found,) = torch.autograd.grad(units, gates, slopes)
    (expected,) = torch.autograd.grad(wanted, reference, slopes.double())
    # A gradient of NaN gates is NaN, which a training step looks for.
    has_nan = gates[0].isnan().any(1)
    assert found[0, has_nan].isnan().any(1).all()
    kept = ~has_nan
    torch.testing.assert_close(found[0, kept].double(), expected[0, kept], rtol=1e-2, atol=1e-6)


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
        assert error.item() < 10 * TOLERANCES[dtype]


def test_only_short_numbers_on_one_thread_are_compiled() -> None:
    with pytorch_threads(1):
        assert compiles_rows(torch.zeros(1))
        assert not compiles_rows(torch.zeros(1, dtype=torch.float64))
        assert not compiles_rows(torch.zeros(1, dtype=torch.float16))
        assert not compiles_rows(torch.zeros(1, device="meta"))
