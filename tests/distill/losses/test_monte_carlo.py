"""The Monte-Carlo divergence against closed forms and independent integrals."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from distill import gaussian_kl, monte_carlo_kl
from flows import StandardLogistic, StandardNormal, mixture_log_prob


def gaussian_log_prob(x: torch.Tensor, loc: torch.Tensor, log_scale: torch.Tensor) -> torch.Tensor:
    z = (x - loc[..., None]) * torch.exp(-log_scale)[..., None]
    return -0.5 * z.square() - log_scale[..., None] - 0.5 * math.log(2 * math.pi)


def gaussians(count: int) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    loc_q, loc_p = torch.randn(2, count, dtype=torch.float64)
    log_scale_q, log_scale_p = 0.2 * torch.randn(2, count, dtype=torch.float64)
    return loc_q, log_scale_q, loc_p, log_scale_p


def estimate(num_draws: int, count: int = 10_000) -> tuple[torch.Tensor, torch.Tensor]:
    """Return estimates and exact values for many pairs of Gaussians."""
    loc_q, log_scale_q, loc_p, log_scale_p = gaussians(count)
    noise = torch.randn(count, num_draws, dtype=torch.float64)
    found = monte_carlo_kl(
        loc_q,
        log_scale_q,
        noise,
        StandardNormal(),
        lambda x: gaussian_log_prob(x, loc_p, log_scale_p),
    )
    return found, gaussian_kl(loc_q, log_scale_q, loc_p, log_scale_p)


def test_error_against_the_closed_form_falls_as_one_over_the_root_of_draws() -> None:
    draws = [4, 16, 64, 256]
    errors = []
    for num_draws in draws:
        found, exact = estimate(num_draws)
        errors.append(float((found - exact).square().mean().sqrt()))
    slope = np.polyfit(np.log(draws), np.log(errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.02)


def test_estimates_are_unbiased_with_few_draws() -> None:
    found, exact = estimate(num_draws=1, count=200_000)
    error = found - exact
    standard_error = float(error.std()) / math.sqrt(len(error))
    assert abs(float(error.mean())) < 4 * standard_error


def test_gradient_agrees_with_the_closed_forms() -> None:
    parameters = [value.requires_grad_() for value in gaussians(50)]
    loc_q, log_scale_q, loc_p, log_scale_p = parameters
    noise = torch.randn(50, 100_000, dtype=torch.float64)
    found = monte_carlo_kl(
        loc_q,
        log_scale_q,
        noise,
        StandardNormal(),
        lambda x: gaussian_log_prob(x, loc_p, log_scale_p),
    )
    estimated = torch.autograd.grad(found.sum(), parameters)
    exact = torch.autograd.grad(gaussian_kl(*parameters).sum(), parameters)
    for one, other in zip(estimated, exact, strict=True):
        assert ((one - other).abs() < 0.02 * (1 + other.abs())).all()


@pytest.mark.parametrize("base", ["gaussian", "logistic"])
def test_divergence_from_a_mixture_is_the_integral(base: str) -> None:
    bases = {"gaussian": StandardNormal(), "logistic": StandardLogistic()}
    laws = {"gaussian": stats.norm(0.3, 0.5), "logistic": stats.logistic(0.3, 0.5)}
    params = torch.tensor([0.2, -0.4, -1.0, 1.0, -1.0, -0.5], dtype=torch.float64)

    def log_p(x: torch.Tensor) -> torch.Tensor:
        return mixture_log_prob(x, params.expand(*x.shape, 6).movedim(-1, 1))

    def integrand(x: float) -> float:
        density = float(mixture_log_prob(torch.tensor([x], dtype=torch.float64), params[None]))
        return laws[base].pdf(x) * (laws[base].logpdf(x) - density)

    exact, _ = integrate.quad(integrand, -12, 12, limit=200)
    torch.manual_seed(0)
    noise = bases[base].sample(torch.empty(1, 400_000, dtype=torch.float64))
    loc, log_scale = torch.tensor([[0.3], [math.log(0.5)]], dtype=torch.float64)
    found = monte_carlo_kl(loc, log_scale, noise, bases[base], log_p)
    assert float(found) == pytest.approx(exact, abs=0.01)


@pytest.mark.parametrize("base", [StandardNormal(), StandardLogistic()], ids=["normal", "logistic"])
def test_entropy_and_deviation_of_a_base(base: StandardNormal | StandardLogistic) -> None:
    law = stats.norm if isinstance(base, StandardNormal) else stats.logistic
    assert base.entropy == pytest.approx(law.entropy())
    assert base.std == pytest.approx(law.std())


def test_equal_densities_have_no_divergence() -> None:
    # With q = p every draw of the cross-entropy is the entropy plus noise of mean zero.
    loc, log_scale = torch.zeros(1), torch.zeros(1)
    torch.manual_seed(0)
    noise = torch.randn(1, 200_000)
    found = monte_carlo_kl(
        loc, log_scale, noise, StandardNormal(), lambda x: gaussian_log_prob(x, loc, log_scale)
    )
    assert float(found) == pytest.approx(0, abs=0.01)
