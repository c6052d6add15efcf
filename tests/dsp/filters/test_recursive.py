"""The recursive filter: its definition, its gradient and its refusals."""

import pytest
import torch
from torch import Tensor

from dsp.filters.recursive import recursive_filter


def naive_filter(signal: Tensor, coefficients: Tensor) -> Tensor:
    """The definition, in plain differentiable operations."""
    span = signal.shape[1] // coefficients.shape[1]
    outputs: list[Tensor] = []
    for t in range(signal.shape[1]):
        value = signal[:, t]
        for k in range(min(coefficients.shape[2], t)):
            value = value + coefficients[:, t // span, k] * outputs[t - 1 - k]
        outputs.append(value)
    return torch.stack(outputs, 1)


def operands(frames: int = 3) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    signal = torch.randn(2, 12, dtype=torch.float64, requires_grad=True)
    coefficients = (0.3 * torch.randn(2, frames, 4, dtype=torch.float64)).requires_grad_()
    return signal, coefficients


def test_recursive_filter_equals_its_definition() -> None:
    signal, coefficients = operands()
    torch.testing.assert_close(
        recursive_filter(signal, coefficients), naive_filter(signal, coefficients)
    )


def test_recursive_filter_gradient() -> None:
    assert torch.autograd.gradcheck(recursive_filter, operands())


def test_recursive_filter_refuses_a_second_derivative() -> None:
    signal, coefficients = operands()
    loss = recursive_filter(signal, coefficients).square().sum()
    (grad,) = torch.autograd.grad(loss, signal, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


@pytest.mark.parametrize("shape", [(3, 3, 4), (2, 0, 4), (2, 5, 4), (2, 4)])
def test_recursive_filter_refuses_wrong_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"frames|coefficients"):
        recursive_filter(torch.zeros(2, 12), torch.zeros(shape))
