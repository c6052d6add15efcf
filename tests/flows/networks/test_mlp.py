"""The networks of couplings: near the identity at first, and free to read everything."""

import pytest
import torch

from flows import CouplingNetwork, Mlp, NonCausalWaveNet, WaveNetConfig
from flows.transforms.transformers import bound_log_scale, unbound_log_scales

CONFIG = WaveNetConfig(
    num_layers=3, layers_per_cycle=2, kernel_size=3, residual_channels=8, skip_channels=6
)


@pytest.mark.parametrize(
    ("network", "shape"),
    [(Mlp(3, 2, 4, (64, 64)), (8, 3)), (NonCausalWaveNet(CONFIG, 3, 2, 4), (8, 3, 20))],
)
def test_an_untrained_network_gives_parameters_near_zero(
    network: CouplingNetwork, shape: tuple[int, ...]
) -> None:
    params = network(torch.randn(shape))
    assert params.shape == (8, 2, 4, *shape[2:])
    assert 0 < params.abs().max() < 0.1


def test_every_output_of_a_perceptron_reads_every_input() -> None:
    torch.manual_seed(0)
    network = Mlp(3, 2, 4, (32,), context_features=2).double()
    x, context = torch.randn(1, 3).double(), torch.randn(1, 2).double()
    for jacobian in torch.autograd.functional.jacobian(network, (x, context)):
        assert (jacobian != 0).all()


def test_projecting_context_before_repeating_is_the_same_function() -> None:
    torch.manual_seed(0)
    network = NonCausalWaveNet(CONFIG, 2, 1, 2, context_channels=3).double()
    x, frames = torch.randn(1, 2, 12).double(), torch.randn(1, 3, 4).double()
    repeated = frames.repeat_interleave(3, -1)
    torch.testing.assert_close(network(x, frames), network(x, repeated))


@pytest.mark.parametrize("skip_channels", [0, 6])
@pytest.mark.parametrize("kernel_size", [2, 3])
def test_the_network_reads_exactly_its_receptive_field(
    skip_channels: int, kernel_size: int
) -> None:
    torch.manual_seed(0)
    config = WaveNetConfig(
        num_layers=3,
        layers_per_cycle=3,
        kernel_size=kernel_size,
        residual_channels=8,
        skip_channels=skip_channels,
    )
    network = NonCausalWaveNet(config, 1, 1, 1).double()
    x = torch.randn(1, 1, 41, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(x)[..., 20].sum(), x)
    ahead = sum((kernel_size - 1) * dilation // 2 for dilation in config.dilations)
    first, last = 20 - (config.receptive_field - 1 - ahead), 20 + ahead
    reached = gradient[0, 0].nonzero()[:, 0]
    assert (int(reached[0]), int(reached[-1])) == (first, last)


def test_a_network_that_sees_the_future_does_not_predict() -> None:
    with pytest.raises(ValueError, match="prediction_order is 4, expected 0"):
        NonCausalWaveNet(WaveNetConfig(prediction_order=4), 1, 1, 1)


def test_a_perceptron_without_hidden_units_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got num_inputs=2, num_outputs=1, hidden=\(\)"):
        Mlp(2, 1, 1, ())


def test_wrong_contexts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"context has shape \(2, 4\), expected \(2, 3\)"):
        Mlp(2, 1, 1, context_features=3)(torch.zeros(2, 2), torch.zeros(2, 4))
    network = NonCausalWaveNet(CONFIG, 1, 1, 1, context_channels=3)
    with pytest.raises(ValueError, match="10 samples are not a whole multiple of 4"):
        network(torch.zeros(1, 1, 10), torch.zeros(1, 3, 4))


def test_the_smallest_sizes_are_sizes_and_anything_less_is_refused() -> None:
    smallest = {
        "num_layers": 1,
        "layers_per_cycle": 1,
        "kernel_size": 2,
        "residual_channels": 1,
        "skip_channels": 0,
        "prediction_order": 0,
    }
    WaveNetConfig(**smallest)
    for field, least in smallest.items():
        with pytest.raises(ValueError, match=rf"wavenet\.{field} is .*, expected at least {least}"):
            WaveNetConfig(**(smallest | {field: least - 1}))


def test_an_initial_log_scale_at_the_floor_is_raised_by_a_tenth_of_a_nat() -> None:
    measured = torch.tensor([-torch.inf, -9.0, -7.0, -6.95])
    raw = unbound_log_scales(measured, -7.0)
    expected = torch.full((4,), -6.9)
    torch.testing.assert_close(bound_log_scale(raw, -7.0), expected)
