"""The convolutional flow: its filter, its inverse, and what it learns from a known process."""

import math

import pytest
import torch
from torch import Tensor

from dsp.filters.recursive import recursive_filter
from flows import CausalConvolution, Flow, StandardNormal


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
