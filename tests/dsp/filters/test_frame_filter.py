"""A compiled causal filter whose taps change from frame to frame."""

import pytest
import torch

from dsp.filters.frame_filter import AT_ONCE, filter_by_frames, is_compiled_for


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("order", [1, AT_ONCE, 2 * AT_ONCE + 1])
@pytest.mark.parametrize(("frames", "span"), [(1, 1), (1, 50), (7, 3)])
def test_each_frame_is_filtered_by_its_own_taps(
    dtype: torch.dtype, order: int, frames: int, span: int
) -> None:
    torch.manual_seed(order)
    extended = torch.randn(2, order + frames * span, dtype=dtype)
    taps = torch.randn(2, frames, order, dtype=dtype)
    found = filter_by_frames(extended, taps)
    windows = extended[:, :-1].unfold(1, order, 1).unflatten(1, (frames, span))
    expected = (windows @ taps.flip(2)[..., None]).flatten(1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_it_is_for_a_cpu_without_gradients() -> None:
    assert not is_compiled_for(torch.zeros(1))
    with torch.no_grad():
        assert is_compiled_for(torch.zeros(1))
        assert not is_compiled_for(torch.zeros(1, dtype=torch.bfloat16))
        assert not is_compiled_for(torch.zeros(1, device="meta"))
