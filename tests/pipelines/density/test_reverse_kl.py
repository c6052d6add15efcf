"""Flows fitted to known densities by reverse KL, and the known densities."""

import json
import math
from pathlib import Path

import pytest
import torch

from flows import (
    Flow,
    StandardNormal,
)
from flows.families import build_family, family_config
from pipelines.density.known import KNOWN, KnownDensity, banana, funnel
from pipelines.density.reverse_kl import (
    ReverseKlConfig,
    divergences,
    fit_reverse_kl,
    reverse_kl,
)


@pytest.mark.parametrize("name", ["banana", "ring"])
def test_known_density_integrates_to_one(name: str) -> None:
    axis = (
        torch.linspace(-12, 12, 1201, dtype=torch.float64) + 1e-3
    )  # not through the ring's centre
    points = torch.cartesian_prod(axis, axis)
    total = KNOWN[name]().log_prob(points).exp().sum() * (axis[1] - axis[0]) ** 2
    assert float(total) == pytest.approx(1.0, abs=1e-3)


def test_funnel_equals_torch_distributions() -> None:
    x = funnel(4).sample(100, torch.Generator().manual_seed(0))
    v = torch.distributions.Normal(0.0, 3.0).log_prob(x[:, 0])
    others = torch.distributions.Normal(0.0, (x[:, :1] / 2).exp()).log_prob(x[:, 1:]).sum(1)
    torch.testing.assert_close(funnel(4).log_prob(x), v + others)


@pytest.mark.parametrize("name", KNOWN)
def test_samples_are_the_densitys_own(name: str) -> None:
    # E_p[p(x + h) / p(x)] is the integral of p whatever the shift h, for samples of p alone.
    target = KNOWN[name]()
    x = target.sample(200_000, torch.Generator().manual_seed(0)).double()
    log_prob = target.log_prob(x)
    for step in (0.05, -0.05):
        shifted = x + step * torch.nn.functional.one_hot(torch.tensor(0), x.shape[1])
        ratio = (target.log_prob(shifted) - log_prob).exp()
        assert float(ratio.mean()) == pytest.approx(1.0, abs=0.01)


def test_a_perfect_fit_has_no_divergence() -> None:
    normal = KnownDensity(
        2,
        lambda x: StandardNormal().log_prob(x).sum(1),
        lambda n, generator: torch.randn(n, 2, generator=generator),
    )
    flow = Flow(StandardNormal(), build_family(family_config("iaf", 2, hidden=(4,))))
    with torch.no_grad():
        for name, parameter in flow.named_parameters():
            if "head" in name:
                parameter.zero_()
    for divergence in divergences(flow, normal, 1000, seed=0):
        assert divergence.nats == pytest.approx(0.0, abs=0.02)


@pytest.mark.slow
def test_an_iaf_learns_the_banana_from_its_own_samples() -> None:
    torch.manual_seed(0)
    flow = Flow(StandardNormal(), build_family(family_config("iaf", 2, hidden=(32,))))
    fit_reverse_kl(flow, banana(), ReverseKlConfig(max_steps=400, learning_rate=1e-2))
    for divergence in divergences(flow, banana(), 20_000, seed=1):
        assert -3 * divergence.standard_error < divergence.nats < 0.05


def test_the_report_holds_both_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reverse_kl(["banana"], ReverseKlConfig(max_steps=2), num_draws=100, report=tmp_path)
    models = json.loads((tmp_path / "reverse_kl.json").read_text())["densities"]["banana"]
    assert list(models) == ["full Gaussian", "iaf"]
    assert all(math.isfinite(model["reverse_kl"]["nats"]) for model in models.values())
    assert (tmp_path / "reverse_kl.md").read_text() in capsys.readouterr().out


def test_an_unknown_density_is_refused() -> None:
    with pytest.raises(ValueError, match="density is 'bananna', expected one of banana, ring"):
        reverse_kl(["bananna"])
