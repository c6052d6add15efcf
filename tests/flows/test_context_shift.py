"""A signal in the context, taken off and added."""

import pytest
import torch

from flows import ContextShift


def test_the_last_channels_are_the_signal_in_order() -> None:
    x, context = torch.zeros(1, 1, 6), torch.randn(1, 5, 3)
    added, _ = ContextShift(2).inverse(x, context)
    assert torch.equal(added[0, 0], context[0, -2:].T.flatten())


@pytest.mark.parametrize("shape", [(2, 5, 3), (1, 1, 3), (1, 5, 2), None])
def test_another_context_is_refused(shape: tuple[int, ...] | None) -> None:
    context = None if shape is None else torch.zeros(shape)
    with pytest.raises(
        ValueError, match=r"context has shape .*, expected \(1, at least 2, 6 / 2\)"
    ):
        ContextShift(2)(torch.zeros(1, 1, 6), context)
