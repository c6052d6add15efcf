"""Every family, built by name: it learns a density, and refuses impossible sizes."""

import math

import pytest
import torch

from flows import (
    Flow,
    StandardNormal,
    WaveNetConfig,
    glow_signal,
    initialise,
    maf_stack,
    nice,
    realnvp,
)
from flows.families import FAMILIES, FamilyConfig, build_family, family_config
from storage.configuration import from_dict

SIZES = {"num_layers": 2, "hidden": (16,)}


@pytest.mark.parametrize("family", FAMILIES)
def test_default_sizes_make_a_flow_that_inverts(family: str) -> None:
    torch.manual_seed(0)
    transform = build_family(family_config(family, 5)).double()
    x = torch.randn(3, 5, dtype=torch.float64)
    z, log_det = transform(x)
    back, inverse_log_det = transform.inverse(z)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-9)
    torch.testing.assert_close(inverse_log_det, -log_det, rtol=0, atol=1e-9)


@pytest.mark.parametrize("family", ["nice", "realnvp", "maf", "maf_mixture", "iaf"])
def test_an_untrained_flow_is_near_its_base(family: str) -> None:
    torch.manual_seed(0)
    flow = Flow(StandardNormal(), build_family(family_config(family, 4, num_layers=3)))
    x = torch.randn(1000, 4)
    expected = flow.base.log_prob(x).sum(1)
    # A mixture of logistics is within 0.02 nats of a normal, for each scalar of each layer.
    assert (flow.log_prob(x) - expected).mean().abs() < 0.02 * 4 * 3
    moved = (flow.transform(x)[0].sort(1)[0] - x.sort(1)[0]).abs()
    assert moved.mean() < 0.02
    assert moved.max() < 0.5  # at four standard deviations a logistic's tail is not a normal's


@pytest.mark.slow
@pytest.mark.parametrize("family", ["nice", "realnvp", "maf", "maf_mixture"])
def test_a_family_learns_a_known_density(family: str) -> None:
    # x2 follows the square of x1, which no linear map undoes.
    torch.manual_seed(0)

    def draw(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        noise = torch.randn(rows, 2)
        x = torch.stack([noise[:, 0], 0.5 * noise[:, 1] + noise[:, 0].square() - 1], 1)
        log_prob = -0.5 * noise.square().sum(1) - math.log(2 * math.pi) - math.log(0.5)
        return x, log_prob

    config = family_config(family, 2, num_layers=3, hidden=(32,))
    flow = Flow(StandardNormal(), build_family(config))
    initialise(flow.transform, draw(2000)[0])
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-2)
    for _ in range(200):
        loss = -flow.log_prob(draw(200)[0]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    held_out, truth = draw(4000)
    gap = (truth - flow.log_prob(held_out)).mean().item()
    assert 0 <= gap < 0.1


def test_reversals_let_every_feature_decide_every_other() -> None:
    torch.manual_seed(0)
    for flow in (nice(6, 3, (32,)), realnvp(6, 3, (32,)), maf_stack(6, 2, (32,))):
        jacobian = torch.autograd.functional.jacobian(
            lambda x, flow=flow: flow(x[None])[0][0], torch.randn(6)
        )
        assert (jacobian != 0).all()


@pytest.mark.parametrize("family", ["realnvp", "maf"])
@pytest.mark.parametrize("num_layers", [1, 2, 5])
def test_log_scales_of_all_layers_together_keep_within_the_limit(
    family: str, num_layers: int
) -> None:
    # Six couplings of 3 nats each gave an outlying row -6e7 nats.
    torch.manual_seed(0)
    limit = {"realnvp": 3.0, "maf": 7.0}[family]
    flow = build_family(family_config(family, 6, num_layers=num_layers, hidden=(16,))).double()
    with torch.no_grad():
        for name, parameter in flow.named_parameters():
            if "log_scale" not in name:  # constants, which no input moves
                parameter.add_(3 * torch.randn_like(parameter))
    x = 1000 * torch.randn(200, 6, dtype=torch.float64)
    log_det = flow(x)[1].abs().max()
    assert 0.6 * limit < log_det <= 6 * limit * (1 + 1e-9)


@pytest.mark.parametrize("family", ["realnvp", "maf"])
@pytest.mark.parametrize("num_layers", [1, 2, 5, 6])
def test_the_largest_log_scales_of_all_layers_add_up_to_the_limit(
    family: str, num_layers: int
) -> None:
    flow = build_family(family_config(family, 6, num_layers=num_layers, hidden=(8,)))
    total = torch.zeros(6)
    for layer in flow.transforms:
        if hasattr(layer, "transformer"):
            highest = layer.transformer.split(torch.full((1, 2, 6), 500.0))[1][0]
            changed = getattr(layer, "changed", torch.arange(6))  # a coupling changes a part
            total[changed] += highest[changed]
    assert float(total.max()) == pytest.approx({"realnvp": 3.0, "maf": 7.0}[family])


@pytest.mark.parametrize("family", ["realnvp", "maf"])
def test_models_from_before_the_limit_do_not_change(family: str) -> None:
    values = {"family": family, "num_features": 4, "num_layers": 2, "hidden": [8]}
    layers = build_family(from_dict(FamilyConfig, values)).transforms
    transformers = [layer.transformer for layer in layers if hasattr(layer, "transformer")]
    assert len(transformers) == 2
    for transformer in transformers:
        low, high = (transformer.split(torch.full((1, 2, 1), raw))[1] for raw in (-50.0, 50.0))
        expected = (-3.0, 3.0) if family == "realnvp" else (-7.0, 50.0)
        assert (float(low), float(high)) == pytest.approx(expected)


def test_mixture_components_start_apart() -> None:
    transform = maf_stack(3, 1, (16,), num_components=4)
    params = transform.transforms[0].conditioner(torch.zeros(1, 3))
    _, locations, _ = transform.transforms[0].transformer.split(params)
    assert (locations.diff(dim=1) > 0.5).all()


def test_a_configuration_survives_json() -> None:
    config = family_config("maf_mixture", 3, num_layers=2)
    values = {"family": "maf_mixture", "num_features": 3, "num_layers": 2}
    values |= {"hidden": [*config.hidden], "num_components": config.num_components}
    assert from_dict(FamilyConfig, values) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"family": "realnvq"}, r"'realnvq' \(did you mean 'realnvp'\?\), expected one of nice"),
        ({"family": "nice", "num_features": 1}, "nice: num_features is 1, expected at least 2"),
        ({"num_layers": 0}, "maf: num_layers is 0, expected at least 1"),
        ({"hidden": ()}, r"maf: hidden is \(\), expected at least one width"),
        ({"hidden": (8, 0)}, r"maf: hidden is \(8, 0\), expected at least one width"),
        ({"num_components": 4}, "maf: num_components is 4, but the family has none"),
        ({"family": "maf_mixture"}, "maf_mixture: num_components is 0, expected at least 1"),
        ({"log_scale_limit": -1.0}, r"maf: log_scale_limit is -1\.0, expected at least 0"),
        ({"log_scale_limit": math.inf}, "maf: log_scale_limit is inf, expected at least 0"),
        (
            {"family": "iaf", "log_scale_limit": 2.0},
            r"iaf: log_scale_limit is 2\.0, but the family has none",
        ),
        ({"context_features": -1}, "maf: context_features is -1, expected at least 0"),
        (
            {"family": "gaussianization", "num_components": 4},
            r"gaussianization: hidden is \(16,\), but the family has none",
        ),
        (
            {"family": "gaussianization", "num_components": 4, "hidden": (), "context_features": 2},
            "gaussianization: context_features is 2, but the family has none",
        ),
    ],
)
def test_impossible_sizes_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FamilyConfig(**({"family": "maf", "num_features": 4, **SIZES} | values))


def test_a_flow_over_folded_audio_learns_from_its_context() -> None:
    # The noise's level follows the frames; without them the likelihood would be lower.
    torch.manual_seed(0)
    config = WaveNetConfig(
        num_layers=2, layers_per_cycle=2, kernel_size=3, residual_channels=16, skip_channels=16
    )
    flow = Flow(StandardNormal(), glow_signal(8, 4, config, context_channels=2))

    def draw(batch: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Waveforms, their context, and their true log-density."""
        context = torch.randn(batch, 2, 6)
        scale = 0.1 * context[:, :1].repeat_interleave(16, -1).exp()
        noise = torch.randn(batch, 1, 96)
        log_prob = (flow.base.log_prob(noise) - scale.log()).sum((1, 2))
        return scale * noise, context, log_prob

    x, context, truth = draw(64)
    initialise(flow.transform, x, context)
    before = (truth - flow.log_prob(x, context)).mean().item() / 96
    optimizer = torch.optim.Adam(flow.parameters(), lr=3e-3)
    for _ in range(60):
        loss = -flow.log_prob(*draw(16)[:2]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x, context, truth = draw(64)
    after = (truth - flow.log_prob(x, context)).mean().item() / 96
    shuffled = (truth - flow.log_prob(x, context.roll(1, 0))).mean().item() / 96
    assert 0 < after < 0.4 < before
    assert shuffled > after + 0.5
