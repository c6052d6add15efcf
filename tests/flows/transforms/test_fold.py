"""Folding: an exact change of view."""

import pytest
import torch

from flows import Compose, Flow, Fold, Inverse, StandardNormal, glow_signal
from tests.flows.transforms.networks import SMALL


def test_a_frame_holds_consecutive_samples() -> None:
    x = torch.arange(12.0).view(1, 1, 12)
    frames, log_det = Fold(4)(x)
    assert torch.equal(frames[0, :, 1], torch.tensor([4.0, 5.0, 6.0, 7.0]))
    assert torch.equal(log_det, torch.zeros(1))


def test_channels_stay_together() -> None:
    x = torch.arange(12.0).view(1, 2, 6)
    frames, _ = Fold(3, num_channels=2)(x)
    assert torch.equal(frames[0, :, 0], torch.tensor([0.0, 1.0, 2.0, 6.0, 7.0, 8.0]))


@pytest.mark.parametrize("factor", [1, 2, 6])
def test_unfolding_is_exact(factor: int) -> None:
    fold, x = Fold(factor, 3), torch.randn(2, 3, 12)
    assert torch.equal(fold.inverse(fold(x)[0])[0], x)


def test_a_folded_flow_ends_in_the_shape_of_its_data() -> None:
    flow = Flow(StandardNormal(), glow_signal(4, 1, SMALL))
    assert flow.transform(torch.randn(2, 1, 24))[0].shape == (2, 1, 24)
    assert flow.sample((2, 1, 24)).shape == (2, 1, 24)
    x, log_prob = flow.rsample_with_log_prob((2, 1, 24))
    torch.testing.assert_close(flow.log_prob(x), log_prob)


def test_refolding_by_another_factor_is_a_composition() -> None:
    refold = Compose([Inverse(Fold(4)), Fold(2)])
    frames = torch.randn(1, 4, 3)
    torch.testing.assert_close(refold(frames)[0], Fold(2)(Fold(4).inverse(frames)[0])[0])


def test_samples_that_do_not_fill_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="10 samples are not a whole multiple of 4"):
        Fold(4)(torch.zeros(1, 1, 10))
    with pytest.raises(ValueError, match=r"z has shape \(1, 3, 5\), expected \(B, 4, T\)"):
        Fold(4).inverse(torch.zeros(1, 3, 5))
    with pytest.raises(ValueError, match="at least 1, got 0 and 1"):
        Fold(0)
