"""The high-pass: filtering block by block is a convolution."""

import pytest
import torch
import torch.nn.functional as F

from dsp.filters.highpass import highpass, highpass_response


@pytest.mark.parametrize("samples", [1, 100, 101, 102, 202, 203, 1000])  # blocks have 101 samples
def test_a_signal_of_any_length_is_convolved(samples: int) -> None:
    taps = highpass_response(0.06).double()
    x = torch.randn(2, len(taps) - 1 + samples, dtype=torch.float64)
    expected = F.conv1d(x[:, None], taps.flip(0)[None, None])[:, 0]
    torch.testing.assert_close(highpass(x, taps), expected)
