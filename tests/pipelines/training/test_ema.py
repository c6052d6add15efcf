"""Averaged weights."""

import pytest
import torch
from torch import nn

from pipelines.training.ema import Average, effective_decay


def test_average_follows_the_weights_slowly() -> None:
    # A public implementation inverted the decay: its average was the last step.
    model = nn.Linear(1, 1, bias=False)
    averaged = Average(model, 0.9)
    for _ in range(200):
        averaged.update_parameters(model)
    before = averaged.module.weight.clone()
    with torch.no_grad():
        model.weight.add_(1.0)
    averaged.update_parameters(model)
    torch.testing.assert_close(averaged.module.weight, before + 0.1)


def test_a_skipped_step_does_not_change_the_average() -> None:
    model = nn.Linear(2, 2)
    averaged = Average(model, 0.9)
    averaged.update_parameters(model)
    before = {name: tensor.clone() for name, tensor in averaged.state_dict().items()}
    with torch.no_grad():
        model.weight.add_(1.0)
    averaged.update_parameters(model, torch.tensor(0.0))
    for name, tensor in averaged.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_average_is_short_while_young() -> None:
    assert float(effective_decay(0.9999, torch.tensor(0))) == pytest.approx(0.1)
    assert float(effective_decay(0.9999, torch.tensor(10**6))) == 0.9999


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_share_of_the_initial_weights_stays_in_the_average(share: float) -> None:
    model = nn.Linear(3, 2)
    initial = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    plain, mixed = Average(model, 0.9), Average(model, 0.9, share)
    for _ in range(5):
        with torch.no_grad():
            model.weight.add_(torch.randn(2, 3))
            model.bias.add_(1.0)
        plain.update_parameters(model)
        mixed.update_parameters(model)
    for name, tensor in mixed.module.state_dict().items():
        expected = torch.lerp(plain.module.state_dict()[name], initial[name], share)
        torch.testing.assert_close(tensor, expected)
