"""Mixtures of logistics as distributions: probabilities of steps, deviations, samples."""

import math

import pytest
import torch
from scipy import stats

from flows import (
    MixtureCdf,
    discretised_log_prob,
    mixture_log_prob,
    mixture_log_std,
)
from flows.logistic_mixture import sample_mixture

K = 4


def random_params(count: int, log_scale: float = -3.0, seed: int = 0) -> torch.Tensor:
    """Draw parameters (count, 3 K) with locations in and slightly outside [-1, 1]."""
    torch.manual_seed(seed)
    logits, locations, raw = torch.randn(3, count, K, dtype=torch.float64)
    return torch.cat([logits, 0.6 * locations, log_scale + raw], 1)


@pytest.mark.parametrize("log_scale", [-9.0, -3.0, 1.0])
def test_probabilities_of_all_levels_sum_to_one(log_scale: float) -> None:
    params = random_params(3, log_scale)
    levels = torch.arange(-(2**15), 2**15, dtype=torch.float64) / 2**15
    total = discretised_log_prob(levels.expand(3, -1), params[..., None]).exp().sum(1)
    torch.testing.assert_close(total, torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-12)


def test_probability_of_a_step_is_the_difference_of_scipys_cdfs() -> None:
    params = random_params(50)
    x = torch.round(torch.linspace(-0.9, 0.9, 50, dtype=torch.float64) * 128) / 128
    logits, locations, raw = params.chunk(3, 1)
    scales = (-7 + torch.log1p(torch.exp(raw + 7))).exp()

    def cdf(edge: torch.Tensor) -> torch.Tensor:
        parts = stats.logistic.cdf(edge[:, None].numpy(), locations.numpy(), scales.numpy())
        return (torch.softmax(logits, 1) * torch.from_numpy(parts)).sum(1)

    expected = torch.log(cdf(x + 1 / 256) - cdf(x - 1 / 256))
    found = discretised_log_prob(x, params, num_bits=8)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)  # scipy's differences cancel


def test_probability_of_a_small_step_is_density_times_step() -> None:
    params = random_params(200, log_scale=-2.0)
    x = torch.round(torch.linspace(-0.9, 0.9, 200, dtype=torch.float64) * 2**15) / 2**15
    density = mixture_log_prob(x, params)
    difference = discretised_log_prob(x, params) - (density - 15 * math.log(2))
    assert difference.abs().max() < 1e-3


def test_dither_within_half_a_step_does_not_change_the_probability() -> None:
    params = random_params(200)
    x = torch.round(torch.linspace(-1.0, 0.99, 200, dtype=torch.float64) * 2**15) / 2**15
    noise = (torch.rand(200, dtype=torch.float64) - 0.5) * 0.999 / 2**15
    found = discretised_log_prob(x + noise, params)
    torch.testing.assert_close(found, discretised_log_prob(x, params), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_probability_and_gradient_stay_finite_far_out_and_at_the_floor(dtype: torch.dtype) -> None:
    x = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0], dtype=dtype)
    raw = torch.tensor([-100.0, 3.0], dtype=dtype)
    params = torch.cat([torch.zeros(2, dtype=dtype), torch.tensor([0.0, 9.0], dtype=dtype), raw])
    params = params.expand(5, -1).clone().requires_grad_()
    log_prob = discretised_log_prob(x, params)
    (gradient,) = torch.autograd.grad(log_prob.sum(), params)
    assert torch.isfinite(log_prob).all()
    assert torch.isfinite(gradient).all()
    assert (log_prob <= 0).all()


def test_deviation_is_that_of_many_samples() -> None:
    torch.manual_seed(1)
    params = random_params(3)[..., None]
    choice = torch.rand(3, 400_000, dtype=torch.float64)
    noise = torch.logit(torch.rand(3, 400_000, dtype=torch.float64))
    drawn = sample_mixture(params.expand(-1, -1, 400_000), choice, noise)
    torch.testing.assert_close(mixture_log_std(params)[:, 0], drawn.std(1).log(), rtol=0, atol=0.01)


def test_deviation_of_one_logistic() -> None:
    params = torch.tensor([[0.0, 5.0, 0.0]], dtype=torch.float64)
    scale = -7 + math.log1p(math.exp(7))
    expected = math.log(stats.logistic.std(scale=math.exp(scale)))
    assert float(mixture_log_std(params)) == pytest.approx(expected)


def test_samples_follow_the_mixture() -> None:
    # The mixture's CDF of its samples is uniform; the transformer gives the CDF's logit.
    torch.manual_seed(0)
    count = 20_000
    params = random_params(1).expand(count, -1)
    choice = torch.rand(count, dtype=torch.float64)
    noise = torch.logit(torch.rand(count, dtype=torch.float64))
    x = sample_mixture(params, choice, noise)
    z, _ = MixtureCdf(K, base="logistic")(x, params)
    assert stats.kstest(torch.sigmoid(z).numpy(), "uniform").pvalue > 0.01


def test_without_noise_samples_are_locations_by_weight() -> None:
    params = torch.tensor([[math.log(1), math.log(3), -1.0, 2.0, 0.0, 0.0]], dtype=torch.float64)
    choice = torch.tensor([0.0, 0.2499, 0.2501, 0.9999], dtype=torch.float64)
    drawn = sample_mixture(params.expand(4, -1), choice, torch.zeros_like(choice))
    assert drawn.tolist() == [-1.0, -1.0, 2.0, 2.0]
