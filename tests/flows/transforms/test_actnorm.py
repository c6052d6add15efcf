"""ActNorm and its initialisation from data."""

import math

import pytest
import torch

from flows import LOG_SCALE_FLOOR, DiagonalScale


@pytest.mark.parametrize("shape", [(500, 3), (20, 3, 50)])
def test_initialised_with_a_shift_it_standardises_each_feature(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    columns = (3, 1) if len(shape) == 3 else (3,)
    x = torch.randn(shape, dtype=torch.float64)
    x = x * torch.tensor([0.01, 1.0, 30.0]).view(columns) + torch.tensor([5.0, 0, -2]).view(columns)
    layer = DiagonalScale(3, shift=True).double()
    layer.initialise(x)
    z = layer(x)[0].transpose(0, 1).flatten(1)
    torch.testing.assert_close(z.mean(1), torch.zeros(3).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(z.square().mean(1), torch.ones(3).double())


def test_initialised_without_a_shift_it_has_the_scale_of_greatest_likelihood() -> None:
    torch.manual_seed(0)
    x = 3 * torch.randn(200, 2, dtype=torch.float64) + 1
    layer = DiagonalScale(2).double()
    layer.initialise(x)
    z, log_det = layer(x)
    (gradient,) = torch.autograd.grad((0.5 * z.square().sum(1) - log_det).mean(), layer.log_scale)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-12)
    assert not layer(torch.zeros_like(x))[0].any()


def test_a_feature_that_does_not_vary_stays_finite() -> None:
    layer = DiagonalScale(2, shift=True)
    layer.initialise(torch.tensor([[1.0, 0.0], [1.0, 2.0]]))
    assert layer.log_scale[0].item() == -LOG_SCALE_FLOOR
    assert layer.shift[0].item() == 1.0
    assert torch.isfinite(layer(torch.tensor([[2.0, 1.0]]))[0]).all()


def test_log_det_counts_every_sample() -> None:
    layer = DiagonalScale(2)
    torch.nn.init.constant_(layer.log_scale, math.log(3))
    torch.testing.assert_close(layer(torch.zeros(4, 2))[1], torch.full((4,), 2 * math.log(3)))
    torch.testing.assert_close(layer(torch.zeros(4, 2, 7))[1], torch.full((4,), 14 * math.log(3)))


def test_a_layer_without_features_is_refused() -> None:
    with pytest.raises(ValueError, match="num_features is 0, expected at least 1"):
        DiagonalScale(0)
