"""The convolutional flow: its filter, its inverse, and what it learns from a known process."""

import math

import pytest
import torch
from torch import Tensor

from dsp.recursive_filter import recursive_filter
from flows import CausalConvolution, Flow, StandardNormal
from flows.transforms.convolution import taps_from_cepstrum


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


def test_cepstrum_of_a_known_filter() -> None:
    """log(1 + a z^-1) = sum_k (-1)^(k+1) a^k / k z^-k."""
    k = torch.arange(1, 31, dtype=torch.float64)
    cepstrum = -((-0.7) ** k) / k
    expected = torch.zeros(30, dtype=torch.float64)
    expected[0] = 0.7
    torch.testing.assert_close(taps_from_cepstrum(cepstrum), expected, rtol=0, atol=1e-9)


def test_maximum_likelihood_recovers_an_autoregressive_process() -> None:
    """A forward pass is the residual of linear prediction: fitted, it has the process's taps."""
    torch.manual_seed(0)
    predictor = torch.tensor([1.3, -0.8, 0.1], dtype=torch.float64)
    noise = 0.2 * torch.randn(4, 8000, dtype=torch.float64)
    signal = recursive_filter(noise, predictor.expand(4, 1, 3))[:, None]
    transform = CausalConvolution(3).double()
    flow = Flow(StandardNormal(), transform)
    optimiser = torch.optim.LBFGS(transform.parameters(), lr=0.5, max_iter=60)

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = -flow.log_prob(signal).mean() / signal.shape[-1]
        loss.backward()
        return loss

    optimiser.step(closure)
    log_gain, taps = (value.detach() for value in transform.filters(signal, None))
    torch.testing.assert_close(-taps[0, 0, 0], predictor, rtol=0, atol=0.015)
    assert float(log_gain[0, 0, 0]) == pytest.approx(-math.log(0.2), abs=0.01)
    residual, _ = transform(signal)
    torch.testing.assert_close(residual[0, 0], noise[0] / 0.2, rtol=0, atol=0.3)


def test_filter_follows_its_context() -> None:
    torch.manual_seed(0)
    transform = CausalConvolution(4, 1, 2).double()
    assert transform.projection is not None
    torch.nn.init.normal_(transform.projection.weight, 0, 0.1)
    signal = torch.randn(1, 1, 20, dtype=torch.float64)
    context = torch.randn(1, 2, 2, dtype=torch.float64)
    changed = context.clone()
    changed[..., 1] += 1
    before, after = transform(signal, context)[0], transform(signal, changed)[0]
    assert torch.equal(before[..., :10], after[..., :10])
    assert not torch.allclose(before[..., 10:], after[..., 10:])


def test_unstable_inverse_is_an_error() -> None:
    transform = CausalConvolution(1)
    with torch.no_grad():
        transform.bias[1] = 3.0  # one tap of 3: a pole far outside the unit circle
    with pytest.raises(ValueError, match="order 1 is unstable on 4000 samples"):
        transform.inverse(torch.randn(1, 1, 4000))


@pytest.mark.parametrize("shape", [(1, 2, 3), (1, 3, 5), (1, 2), (1, 2, 0)])
def test_wrong_context_is_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(1, 2, L\)|whole multiple of \d context"):
        CausalConvolution(2, 1, 2)(torch.randn(1, 1, 10), torch.zeros(shape))
