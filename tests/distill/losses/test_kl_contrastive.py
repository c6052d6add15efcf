"""The contrastive term rewards unlikeness, up to a limit."""

import pytest
import torch

from distill import contrastive_kl


def test_contrastive_kl_rewards_being_unlike_another_context() -> None:
    right, wrong = torch.tensor([1.0, 2.0]), torch.tensor([4.0, 0.5], requires_grad=True)
    found = contrastive_kl(right, wrong, gamma=0.3, limit=10.0)
    torch.testing.assert_close(found, torch.tensor([1.0 - 1.2, 2.0 - 0.15]))
    (gradient,) = torch.autograd.grad(found.sum(), wrong)
    torch.testing.assert_close(gradient, torch.full((2,), -0.3))


def test_contrastive_kl_stops_rewarding_beyond_its_limit() -> None:
    wrong = torch.tensor([5000.0], requires_grad=True)
    found = contrastive_kl(torch.tensor([1.0]), wrong, gamma=0.3, limit=10.0)
    assert float(found.detach()) == pytest.approx(-2.0)
    assert float(torch.autograd.grad(found.sum(), wrong)[0]) == 0
