"""Mixture CDF transformers: accuracy in both tails, exact inverse, exact gradients."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import special, stats
from torch import Tensor

import flows.logistic_mixture
import flows.transforms.mixture
from flows import (
    Conditioner,
    Flow,
    Made,
    MixtureCdf,
    StandardLogistic,
    StandardNormal,
    WaveNet,
    WaveNetConfig,
    fit_mixture,
    maf,
    mixture_log_prob,
)
from flows.normal_quantile import log_mills_ratio, normal_quantile

BASES = {"normal": StandardNormal(), "logistic": StandardLogistic()}
by_base = pytest.mark.parametrize("base", BASES)
by_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def random_params(count: int, components: int, spread: float, log_scale: float) -> Tensor:
    """Draw parameters (count, 3 K) of mixtures with uneven weights, locations and scales."""
    torch.manual_seed(0)
    logits = 2 * torch.randn(count, components, dtype=torch.float64)
    locations = spread * torch.randn(count, components, dtype=torch.float64)
    raw = log_scale + torch.randn(count, components, dtype=torch.float64)
    return torch.cat([logits, locations, raw], 1)


@by_dtype
def test_normal_quantile_is_accurate_far_into_the_tail(dtype: torch.dtype) -> None:
    log_p = -torch.logspace(math.log10(math.log(2)), 6, 2000, dtype=torch.float64).to(dtype)
    z = normal_quantile(log_p).double().numpy()
    rounding = 4 * torch.finfo(dtype).eps
    expected = log_p.double().numpy()
    np.testing.assert_allclose(special.log_ndtr(z), expected, rtol=rounding, atol=rounding)
    # An independent computation, accurate to twelve digits.
    np.testing.assert_allclose(z, special.ndtri_exp(expected), rtol=1e-12 + rounding, atol=rounding)


def test_log_mills_ratio_matches_the_scaled_error_function() -> None:
    z = -torch.logspace(-3, 4, 300, dtype=torch.float64)
    expected = np.log(special.erfcx(-z.numpy() / math.sqrt(2)) * math.sqrt(math.pi / 2))
    ratio = log_mills_ratio(z, torch.special.log_ndtr(z))
    torch.testing.assert_close(ratio, torch.from_numpy(expected), rtol=0, atol=1e-11)


def test_gradients_of_the_normal_quantile() -> None:
    log_p = torch.tensor([-0.7, -3.0, -10.0, -400.0, -1000.0], dtype=torch.float64)
    log_p.requires_grad_()
    assert torch.autograd.gradcheck(normal_quantile, log_p)
    assert torch.autograd.gradgradcheck(normal_quantile, log_p)


def test_forward_is_the_textbook_formula() -> None:
    params = random_params(200, 4, 1.0, -1.0)
    x = torch.randn(200, dtype=torch.float64)
    logits, locations, raw = params.chunk(3, 1)
    scales = np.exp(-7 + np.log1p(np.exp(raw.numpy() + 7)))
    cdfs = stats.logistic.cdf(x.numpy()[:, None], locations.numpy(), scales)
    cdf = (special.softmax(logits.numpy(), 1) * cdfs).sum(1)
    for base, expected in (("normal", stats.norm.ppf(cdf)), ("logistic", special.logit(cdf))):
        z, _ = MixtureCdf(4, base=base)(x, params)
        torch.testing.assert_close(z, torch.from_numpy(expected), rtol=1e-9, atol=1e-9)


def test_mixture_density_equals_scipys() -> None:
    params = random_params(200, 4, 1.0, -1.0)
    x = 3 * torch.randn(200, dtype=torch.float64)
    logits, locations, raw = params.chunk(3, 1)
    scales = np.exp(-7 + np.log1p(np.exp(raw.numpy() + 7)))
    densities = stats.logistic.pdf(x.numpy()[:, None], locations.numpy(), scales)
    expected = np.log((special.softmax(logits.numpy(), 1) * densities).sum(1))
    torch.testing.assert_close(mixture_log_prob(x, params), torch.from_numpy(expected))


@by_base
@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (lambda: Made(6, 15, (16,)), (50, 6)),
        (lambda: WaveNet(WaveNetConfig(num_layers=2, residual_channels=6), 15), (2, 1, 30)),
    ],
    ids=["vector", "signal"],
)
def test_one_autoregressive_step_is_the_mixture_model(
    base: str, network: Callable[[], Conditioner], shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    conditioner = network().double()
    with torch.no_grad():
        for parameter in conditioner.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    flow = Flow(BASES[base], maf(conditioner, MixtureCdf(5, base=base)))
    x = 4 * torch.randn(shape, dtype=torch.float64)
    expected = mixture_log_prob(x, conditioner(x)).flatten(1).sum(1)
    torch.testing.assert_close(flow.log_prob(x), expected, rtol=1e-12, atol=1e-10)


@by_base
@pytest.mark.parametrize("spread", [0.3, 3.0, 30.0])
@pytest.mark.parametrize("log_scale", [0.0, -3.0])
def test_inverse_is_exact(base: str, spread: float, log_scale: float) -> None:
    params = random_params(5000, 6, spread, log_scale)
    transformer = MixtureCdf(6, base=base)
    z = torch.linspace(-9, 9, 5000, dtype=torch.float64)
    x, inverse_log_det = transformer.inverse(z, params)
    returned, log_det = transformer(x, params)
    torch.testing.assert_close(returned, z, rtol=0, atol=1e-10)
    torch.testing.assert_close(inverse_log_det, -log_det, rtol=0, atol=0)


@by_base
@pytest.mark.parametrize("log_scale", [0.0, -3.0])
def test_inverse_returns_the_data(base: str, log_scale: float) -> None:
    params = random_params(5000, 6, 1.0, log_scale)
    transformer = MixtureCdf(6, base=base)
    x = torch.linspace(-50, 50, 5000, dtype=torch.float64)
    z, log_det = transformer(x, params)
    # Where the CDF is flat, many x have one z up to rounding.
    steep = log_det > -10
    assert steep.double().mean() > 0.5
    returned, _ = transformer.inverse(z, params)
    torch.testing.assert_close(returned[steep], x[steep], rtol=0, atol=1e-10)


@pytest.mark.parametrize(("log_scale", "most"), [(-1.0, 20), (-4.0, 40)])
def test_inverse_takes_few_iterations(
    log_scale: float, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate, calls = flows.transforms.mixture._logit_cdf, []
    monkeypatch.setattr(
        flows.transforms.mixture, "_logit_cdf", lambda *args: calls.append(1) or evaluate(*args)
    )
    z = torch.linspace(-6, 6, 5000, dtype=torch.float64)
    MixtureCdf(8).solve(z, random_params(5000, 8, 5.0, log_scale))
    assert len(calls) <= most


@by_base
def test_gradients_of_the_inverse(base: str) -> None:
    params = random_params(6, 3, 1.0, -0.5).requires_grad_()
    z = torch.tensor([-3.0, -1.0, -0.1, 0.0, 0.7, 4.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(MixtureCdf(3, base=base).inverse, (z, params))


@by_base
def test_gradients_of_the_forward_pass(base: str) -> None:
    params = random_params(6, 3, 1.0, -0.5).requires_grad_()
    x = torch.tensor([-9.0, -1.0, -0.1, 0.0, 0.7, 4.0], dtype=torch.float64, requires_grad=True)
    transformer = MixtureCdf(3, base=base)
    assert torch.autograd.gradcheck(transformer, (x, params))
    assert torch.autograd.gradgradcheck(transformer, (x, params))


def test_a_second_derivative_of_the_inverse_is_refused() -> None:
    z = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    x, _ = MixtureCdf(2).inverse(z, random_params(1, 2, 1.0, 0.0))
    (slope,) = torch.autograd.grad(x.square(), z, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.backward()


@by_base
@by_dtype
@pytest.mark.parametrize("raw", [0.0, -5.0, -100.0])
def test_far_and_sharp_stays_finite(base: str, dtype: torch.dtype, raw: float) -> None:
    # Two sharp components: data between them, on one of them, and far outside.
    transformer = MixtureCdf(2, log_scale_floor=-20.0, base=base)
    x = torch.tensor([-50.0, -1.0, 0.0, 0.3, 1.0, 50.0], dtype=dtype, requires_grad=True)
    params = torch.tensor([[0.0, 1.0, -1.0, 1.0, raw, raw]], dtype=dtype).requires_grad_()
    z, log_det = transformer(x, params)
    gradients = torch.autograd.grad(z.sum() + log_det.sum(), [x, params])
    assert (z.diff() >= 0).all()
    noise = z.detach().requires_grad_()
    returned, inverse_log_det = transformer.inverse(noise, params)
    inverse_gradients = torch.autograd.grad(returned.sum() + inverse_log_det.sum(), [noise, params])
    for values in (z, log_det, *gradients, returned, inverse_log_det, *inverse_gradients):
        assert torch.isfinite(values).all()


def test_single_precision_agrees_with_double() -> None:
    params = random_params(2000, 6, 1.0, -1.0)
    x = torch.linspace(-20, 20, 2000, dtype=torch.float64)
    double = MixtureCdf(6)(x, params)
    single = MixtureCdf(6)(x.float(), params.float())
    for a, b in zip(single, double, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-4)


@by_base
def test_slope_is_right_where_both_tails_are_equal(base: str) -> None:
    # Digital silence under fresh parameters: every x is a location, and F is exactly one half.
    x = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    z, log_det = MixtureCdf(2, base=base)(x, torch.zeros(3, 6, dtype=torch.float64))
    (slope,) = torch.autograd.grad(z.sum(), x)
    torch.testing.assert_close(slope.log(), log_det)
    assert (z.abs() < 1e-15).all()


def test_one_logistic_under_its_own_base_is_affine() -> None:
    params = torch.tensor([[0.0, 2.0, 1.5]], dtype=torch.float64)
    x = torch.linspace(-40, 40, 81, dtype=torch.float64)
    z, log_det = MixtureCdf(1, base="logistic")(x, params)
    scale = (params[0, 2] + math.log1p(math.exp(-1.5 - 7))).exp()
    torch.testing.assert_close(z, (x - 2) / scale, rtol=1e-3, atol=0)
    torch.testing.assert_close(log_det, -scale.log().expand(81), rtol=1e-3, atol=0)


def test_fit_comes_near_the_entropy_of_the_data() -> None:
    torch.manual_seed(0)
    normal = torch.randn(4000, dtype=torch.float64)
    uniform = torch.rand(4000, dtype=torch.float64)
    x = torch.stack([3 + 2 * normal, uniform], 1)
    entropy = torch.tensor([0.5 * math.log(2 * math.pi * math.e) + math.log(2), 0.0])
    nats = -mixture_log_prob(x, fit_mixture(x, 12)[None]).mean(0)
    assert (nats - entropy).abs().max() < 0.03


def test_no_step_of_the_fit_lowers_the_likelihood(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    normal = torch.randn(500, 3, dtype=torch.float64)
    x = torch.stack([normal[:, 0], normal[:, 1].exp(), normal[:, 2].sign() + 0.1 * normal[:, 1]], 1)
    log_probs = []
    for steps in range(12):
        monkeypatch.setattr(flows.logistic_mixture, "FIT_STEPS", steps)
        log_probs.append(mixture_log_prob(x, fit_mixture(x, 5)[None]).mean(0))
    gains = torch.stack(log_probs).diff(dim=0)
    assert (gains > -1e-9).all()
    assert (gains.sum(0) > 0.005).all()


def test_fit_of_constant_data_is_finite_and_can_move() -> None:
    x = torch.ones(10, 1)
    params = fit_mixture(x, 3).requires_grad_()
    log_prob = mixture_log_prob(x, params[None]).sum()
    (gradient,) = torch.autograd.grad(log_prob, params)
    assert torch.isfinite(log_prob)
    assert (gradient[-3:].abs() > 0).all()


def test_impossible_mixtures_are_refused() -> None:
    x = torch.zeros(2)
    for call, message in (
        (lambda: MixtureCdf(0), "num_components is 0"),
        (
            lambda: MixtureCdf(2, base="cauchy"),
            "base is 'cauchy', expected one of normal, logistic",
        ),
        (lambda: MixtureCdf(2)(x, torch.zeros(2, 9)), r"\(2, 9\), expected \(B, 6, ...\)"),
        (lambda: mixture_log_prob(x, torch.zeros(2, 4)), r"\(2, 4\), expected \(B, 3 K, ...\)"),
        (lambda: fit_mixture(torch.zeros(1, 2), 3), "at least two rows"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
