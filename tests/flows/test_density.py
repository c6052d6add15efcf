"""Densities, sampling and interpolation."""

import math

import pytest
import torch

from flows import (
    Affine,
    Compose,
    Dequantize,
    Flow,
    Made,
    StandardLogistic,
    StandardNormal,
    bound_log_scale,
    fold_weight_norm,
    folded_state,
    iaf,
    maf,
)
from flows.networks.wavenet import WaveNet
from flows.networks.wavenet_config import WaveNetConfig


@pytest.fixture
def flow() -> Flow:
    torch.manual_seed(0)
    transform = Compose([maf(Made(3, 2, (16,)), Affine()), iaf(Made(3, 2, (16,)), Affine())])
    with torch.no_grad():
        for parameter in transform.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return Flow(StandardNormal(), transform).double()


def test_density_integrates_to_one() -> None:
    torch.manual_seed(0)
    flow = Flow(StandardNormal(), maf(Made(2, 2, (16,)), Affine())).double()
    axis = torch.linspace(-12, 12, 801, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        total = flow.log_prob(grid).exp().sum() * (axis[1] - axis[0]) ** 2
    assert abs(float(total) - 1) < 1e-6


def test_logistic_base_integrates_to_one_and_matches_its_samples() -> None:
    base = StandardLogistic()
    z = torch.linspace(-60, 60, 100_001, dtype=torch.float64)
    assert abs(float(base.log_prob(z).exp().sum() * (z[1] - z[0])) - 1) < 1e-9
    generator = torch.Generator().manual_seed(0)
    drawn = base.sample(torch.empty(200_000, dtype=torch.float64), generator)
    assert abs(float(drawn.std()) - torch.pi / 3**0.5) < 0.02


def test_both_tails_of_logistic_noise_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(self: torch.Tensor, generator: object = None) -> torch.Tensor:
        one = torch.ones((), dtype=self.dtype)
        return self.copy_(torch.stack([0 * one, torch.nextafter(one, 0 * one)]))

    monkeypatch.setattr(torch.Tensor, "uniform_", ends)
    for dtype in (torch.float32, torch.float64):
        low, high = StandardLogistic().sample(torch.empty(2, dtype=dtype)).tolist()
        assert low == pytest.approx(-high)
        assert 30 < high < 40


@pytest.mark.parametrize(
    ("base", "beyond"),
    [
        (StandardLogistic(), {b: 1 / (1 + math.exp(b)) for b in (3.0, 7.0, 10.0)}),
        (StandardNormal(), {b: 0.5 * math.erfc(b / 2**0.5) for b in (1.0, 3.0, 4.0)}),
    ],
    ids=["logistic", "normal"],
)
def test_noise_in_float32_has_the_tails_of_its_distribution(
    base: StandardLogistic | StandardNormal, beyond: dict[float, float]
) -> None:
    count = 2**22
    z = base.sample(torch.empty(count), torch.Generator().manual_seed(0))
    for bound, share in beyond.items():
        for found in (int((z > bound).sum()), int((z < -bound).sum())):
            assert abs(found - count * share) < 4 * (count * share) ** 0.5


def test_rsample_returns_the_samples_log_prob(flow: Flow) -> None:
    x, log_prob = flow.rsample_with_log_prob((50, 3))
    torch.testing.assert_close(flow.log_prob(x), log_prob)


def test_reparametrised_samples_carry_gradients(flow: Flow) -> None:
    x, _ = flow.rsample_with_log_prob((4, 3))
    x.square().sum().backward()
    assert all(p.grad is not None for p in flow.parameters())


def test_samples_are_reproducible_and_temperature_scales_the_noise(flow: Flow) -> None:
    seeded = [flow.sample((5, 3), generator=torch.Generator().manual_seed(1)) for _ in range(2)]
    torch.testing.assert_close(*seeded, rtol=0, atol=0)
    cold = flow.sample((5, 3), temperature=0.0)
    torch.testing.assert_close(cold, cold[:1].expand(5, 3))
    with pytest.raises(ValueError, match="temperature is -1"):
        flow.sample((5, 3), temperature=-1.0)


@pytest.mark.parametrize("path", ["linear", "spherical"])
def test_interpolation_ends_at_its_ends(flow: Flow, path: str) -> None:
    x0, x1 = torch.randn(2, 4, 3, dtype=torch.float64)
    points = flow.interpolate(x0, x1, 5, path=path)
    assert points.shape == (5, 4, 3)
    torch.testing.assert_close(points[0], x0)
    torch.testing.assert_close(points[-1], x1)


def test_spherical_path_of_a_point_to_itself_stays(flow: Flow) -> None:
    x = torch.randn(4, 3, dtype=torch.float64)
    torch.testing.assert_close(flow.interpolate(x, x, 3, path="spherical")[1], x)


def test_interpolation_refuses_impossible_arguments(flow: Flow) -> None:
    x = torch.zeros(1, 3, dtype=torch.float64)
    for arguments, message in (
        ((x, x[:, :2], 3), "not equal"),
        ((x, x, 1), "num_steps is 1"),
        ((x, x, 3, None, "cubic"), "path is 'cubic'"),
    ):
        with pytest.raises(ValueError, match=message):
            flow.interpolate(*arguments)


def test_discrete_data_has_no_density(flow: Flow) -> None:
    with pytest.raises(ValueError, match="Dequantize"):
        flow.log_prob(torch.zeros(1, 3, dtype=torch.int16))


def test_dequantised_integers_come_back() -> None:
    dequantize = Dequantize(256)
    k = torch.arange(256).repeat(100)
    u = dequantize(k)
    assert float(u.min()) >= 0
    assert float(u.max()) < 1
    assert torch.equal(dequantize.quantize(u), k)
    for wrong, message in ((k.float(), "takes integers"), (k + 1, "span 1 .. 256")):
        with pytest.raises(ValueError, match=message):
            dequantize(wrong)


def test_bounded_log_scale_keeps_its_gradient() -> None:
    raw = torch.tensor([-1000.0, -7.0, 0.0, 5.0], dtype=torch.float64, requires_grad=True)
    bounded = bound_log_scale(raw, -7.0)
    bounded.sum().backward()
    assert (bounded >= -7).all()
    torch.testing.assert_close(bounded[2:], raw[2:].detach(), rtol=0, atol=1e-3)
    assert raw.grad is not None
    assert (raw.grad[1:] > 0).all()


def test_folding_weight_norm_changes_nothing() -> None:
    torch.manual_seed(0)
    config = WaveNetConfig(num_layers=2, layers_per_cycle=2, residual_channels=4, skip_channels=4)
    network = WaveNet(config, 2)
    x = torch.randn(1, 1, 10)
    before, state = network(x), folded_state(network)
    fold_weight_norm(network)
    torch.testing.assert_close(network(x), before)
    assert state.keys() == network.state_dict().keys()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, state[name])


def test_rounding_does_not_carry_an_integer_into_the_next_cell() -> None:
    dequantize = Dequantize(2**24)  # as fine as float32: half of all sums are rounded up
    k = torch.full((1000,), 2**24 - 2)
    assert torch.equal(dequantize.quantize(dequantize(k)), k)


@pytest.mark.parametrize("num_levels", [100, 3000, 65535])
def test_no_division_carries_an_integer_into_another_cell(num_levels: int) -> None:
    dequantize, generator = Dequantize(num_levels), torch.Generator().manual_seed(0)
    k = torch.randint(0, num_levels, (4_000_000,), generator=generator)
    assert torch.equal(dequantize.quantize(dequantize(k, generator)), k)
