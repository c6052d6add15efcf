"""The high-pass: filtering block by block is a convolution."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import signal

from dsp.filters.highpass import highpass, highpass_response


@pytest.mark.parametrize("samples", [1, 100, 101, 102, 202, 203, 1000])  # blocks have 101 samples
def test_a_signal_of_any_length_is_convolved(samples: int) -> None:
    taps = highpass_response(0.06).double()
    x = torch.randn(2, len(taps) - 1 + samples, dtype=torch.float64)
    expected = F.conv1d(x[:, None], taps.flip(0)[None, None])[:, 0]
    torch.testing.assert_close(highpass(x, taps), expected)


@pytest.mark.parametrize("cutoff", [0.001, 0.00375, 0.06, 0.3])
def test_the_response_is_a_butterworth_filters(cutoff: float) -> None:
    taps = highpass_response(cutoff).double().numpy()
    impulse = np.zeros(len(taps))
    impulse[0] = 1.0
    sections = signal.butter(4, 2 * cutoff, "highpass", output="sos")
    np.testing.assert_allclose(taps, signal.sosfilt(sections, impulse), rtol=0, atol=1e-7)
