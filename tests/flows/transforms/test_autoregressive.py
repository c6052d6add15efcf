"""What makes a flow autoregressive: strict causality, cached steps, and the duality."""

import math

import pytest
import torch
from torch import Tensor

from flows import (
    Additive,
    Affine,
    Autoregressive,
    Conditioner,
    Flow,
    Made,
    StandardNormal,
    WaveNet,
    WaveNetConfig,
    iaf,
    maf,
)
from flows.transforms.transformers import Swapped

NETWORKS: dict[str, tuple[WaveNetConfig, int]] = {
    "skips": (
        WaveNetConfig(num_layers=4, layers_per_cycle=2, residual_channels=6, skip_channels=5),
        1,
    ),
    "no_skips_kernel_3": (
        WaveNetConfig(
            num_layers=3, layers_per_cycle=3, kernel_size=3, residual_channels=6, skip_channels=0
        ),
        2,
    ),
    "linear_prediction": (
        WaveNetConfig(
            num_layers=2,
            layers_per_cycle=2,
            residual_channels=6,
            skip_channels=5,
            prediction_order=7,
        ),
        2,
    ),
}


def make_network(name: str, context_channels: int = 0) -> WaveNet:
    torch.manual_seed(0)
    config, channels = NETWORKS[name]
    network = WaveNet(config, 2, channels, context_channels).double()
    with torch.no_grad():
        network.head.weight.normal_()
        for layer in network.layers:
            layer.gate.bias.normal_()
        if network.prediction is not None:
            for parameter in network.prediction.parameters():
                parameter.normal_()
    return network


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_depend_on_exactly_the_receptive_field_before(name: str) -> None:
    # The commonest bug of public implementations: location and scale read z_t itself.
    network = make_network(name)
    samples = network.receptive_field + 6
    x = torch.randn(1, network.num_channels, samples, dtype=torch.float64, requires_grad=True)
    t = samples - 3
    (gradient,) = torch.autograd.grad(network(x)[..., t].square().sum(), x)
    reach = gradient[0].abs().sum(0)
    first = t - network.receptive_field
    assert (reach[t:] == 0).all()
    assert (reach[:first] == 0).all()
    assert (reach[first:t] > 0).all()


def test_masked_network_reads_exactly_the_features_before() -> None:
    torch.manual_seed(0)
    network = Made(6, 2, (64, 64)).double()
    jacobian = torch.autograd.functional.jacobian(
        lambda x: network(x[None]).square().sum(1)[0], torch.randn(6, dtype=torch.float64)
    )
    before = torch.ones(6, 6).tril(-1).bool()
    assert (jacobian[~before] == 0).all()
    assert (jacobian[before] != 0).all()


@pytest.mark.parametrize("hidden", [(5,), (5, 7), (12, 3), (2, 2)])
def test_a_network_narrower_than_its_input_reads_every_feature(hidden: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    features = 13
    network = Made(features, 2, hidden, context_features=1).double()
    # Weights are positive, so that neither rectifiers nor signs hide a path.
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(0.5, 1.0)
    inputs = torch.ones(features), torch.ones(1)
    by_feature, by_context = torch.autograd.functional.jacobian(
        lambda x, c: network(x[None], c[None])[0, 0], tuple(x.double() for x in inputs)
    )
    assert (by_feature.triu() == 0).all()
    assert (by_context > 0).all()
    read = (by_feature != 0).any(0)
    assert read[:-1].all()
    # A feature may miss its last few predecessors, equally many everywhere.
    unread = torch.arange(features) - (by_feature != 0).sum(1)
    gaps = [math.ceil((features - 1) / (width - 1)) - 1 for width in set(hidden)]
    assert int(unread.max()) <= sum(gaps)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("context_channels", [0, 3])
def test_cached_steps_equal_the_parallel_pass(name: str, context_channels: int) -> None:
    network = make_network(name, context_channels)
    samples = 4 * (network.receptive_field // 4 + 3)
    x = torch.randn(2, network.num_channels, samples, dtype=torch.float64)
    context = None
    if context_channels:
        context = torch.randn(2, context_channels, 4, dtype=torch.float64)
    parallel = network(x, context)
    state = network.start(x, context)
    previous = torch.zeros_like(x[..., 0])
    for t in range(samples):
        torch.testing.assert_close(network.step(previous, state), parallel[..., t])
        previous = x[..., t]


def test_a_step_costs_the_same_at_any_time() -> None:
    # The cache holds the receptive field, not the past: nothing grows with time.
    network = make_network("skips")
    like = torch.zeros(1, 1, 1000, dtype=torch.float64)
    state = network.start(like)
    sizes = set()
    for _ in range(50):
        network.step(like[..., 0], state)
        sizes.add(sum(len(cache.past) for cache in state.layers))
    assert sizes == {network.receptive_field - 1}


@pytest.mark.parametrize("network", [Made(5, 2, (16,)), WaveNet(NETWORKS["skips"][0], 2)])
def test_maf_and_iaf_are_one_object_in_two_directions(network: Conditioner) -> None:
    torch.manual_seed(0)
    network = network.double()
    x = torch.randn((2, 5) if isinstance(network, Made) else (2, 1, 9), dtype=torch.float64)
    as_maf = Autoregressive(network, Swapped(Affine()))
    as_iaf = iaf(network, Affine())
    torch.testing.assert_close(as_iaf.inverse(x), as_maf(x), rtol=0, atol=0)
    torch.testing.assert_close(as_iaf(x), as_maf.inverse(x), rtol=0, atol=0)


def test_iaf_scales_and_shifts_noise_by_what_came_before() -> None:
    network = make_network("skips")
    z = torch.randn(2, 1, 20, dtype=torch.float64)
    shift, log_scale = Affine().split(network(z))
    x, log_det = iaf(network, Affine()).inverse(z)
    torch.testing.assert_close(x, z * log_scale.exp() + shift)
    torch.testing.assert_close(log_det, log_scale.sum((1, 2)))


def test_maf_likelihood_is_the_product_of_gaussians() -> None:
    network = make_network("skips")
    x = torch.randn(2, 1, 20, dtype=torch.float64)
    shift, log_scale = Affine().split(network(x))
    expected = torch.distributions.Normal(shift, log_scale.exp()).log_prob(x).sum((1, 2))
    torch.testing.assert_close(Flow(StandardNormal(), maf(network, Affine())).log_prob(x), expected)


def test_a_maf_learns_a_known_density() -> None:
    # Reverse direction of every formula at once: fit correlated Gaussians, compare with the truth.
    torch.manual_seed(0)
    mixing = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.5, 0.0], [-0.5, 0.3, 0.2]])
    truth = torch.distributions.MultivariateNormal(torch.zeros(3), scale_tril=mixing)
    flow = Flow(StandardNormal(), maf(Made(3, 2, (32,)), Affine()))
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-2)
    for _ in range(400):
        loss = -flow.log_prob(truth.sample((256,))).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    held_out = truth.sample((4000,))
    gap = (truth.log_prob(held_out) - flow.log_prob(held_out)).mean()
    assert 0 <= gap < 0.05


def test_mismatched_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="gives 2 parameters per scalar, but Additive takes 1"):
        maf(Made(3, 2), Additive())


def test_context_that_does_not_divide_the_signal_is_refused() -> None:
    network = make_network("skips", 3)
    x = torch.zeros(1, 1, 10, dtype=torch.float64)
    with pytest.raises(ValueError, match="10 samples are not a whole multiple of 4"):
        network(x, torch.zeros(1, 3, 4, dtype=torch.float64))
    with pytest.raises(ValueError, match="context is missing"):
        network(x)


def one_hot_response(network: WaveNet, t: int, samples: int) -> Tensor:
    x = torch.zeros(1, network.num_channels, samples, dtype=torch.float64)
    x[..., t] = 1.0
    return (network(x) - network(torch.zeros_like(x))).abs().sum((0, 1, 2))


def test_the_past_does_not_move_when_the_future_changes() -> None:
    network = make_network("no_skips_kernel_3")
    response = one_hot_response(network, 10, 40)
    assert (response[:11] == 0).all()
    assert response[11] > 0


def test_projecting_context_before_repeating_is_the_same_function() -> None:
    network = make_network("skips", 3)
    x = torch.randn(1, 1, 12, dtype=torch.float64)
    frames = torch.randn(1, 3, 4, dtype=torch.float64)
    at_sample_rate = frames.repeat_interleave(3, -1)
    torch.testing.assert_close(network(x, frames), network(x, at_sample_rate))
