"""A signal in the context that is subtracted and added."""

import math

import pytest
import torch

from flows import ContextShift


def test_the_context_is_the_signal_in_order() -> None:
    x, context = torch.zeros(1, 1, 6), torch.randn(1, 2, 3)
    added, _ = ContextShift(2).inverse(x, context)
    assert torch.equal(added[0, 0], context[0].T.flatten())


def test_the_gain_is_for_frames_with_a_signal() -> None:
    x, context = torch.ones(1, 1, 6), torch.zeros(1, 2, 3)
    context[0, -1, 1] = 3.0  # the second sample of the second frame
    scaled, log_det = ContextShift(2, 0.5).inverse(x, context)
    assert scaled[0, 0].tolist() == [1.0, 1.0, 0.5, 3.5, 1.0, 1.0]
    assert float(log_det) == pytest.approx(2 * math.log(0.5))
    with pytest.raises(ValueError, match="gain is 0, expected more than 0"):
        ContextShift(2, 0)


@pytest.mark.parametrize("shape", [(2, 2, 3), (1, 1, 3), (1, 5, 3), (1, 2, 2), None])
def test_another_context_is_refused(shape: tuple[int, ...] | None) -> None:
    context = None if shape is None else torch.zeros(shape)
    with pytest.raises(ValueError, match=r"context has shape .*, expected \(1, 2, 6 / 2\)"):
        ContextShift(2)(torch.zeros(1, 1, 6), context)
