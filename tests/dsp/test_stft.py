"""The short-time Fourier transform, against NumPy's."""

import numpy as np
import pytest
import scipy.signal
import torch

from dsp.stft import POWER_FLOOR, stft_magnitude


@pytest.mark.parametrize(("fft", "hop", "win"), [(64, 16, 64), (128, 20, 60)])
def test_stft_is_hann_windowed(fft: int, hop: int, win: int) -> None:
    # A public implementation forgot the window.
    x = np.random.default_rng(0).standard_normal(400)
    window = np.zeros(fft)
    left = (fft - win) // 2
    window[left : left + win] = scipy.signal.get_window("hann", win)
    padded = np.pad(x, fft // 2)
    frames = [
        np.abs(np.fft.rfft(window * padded[i : i + fft]))
        for i in range(0, len(padded) - fft + 1, hop)
    ]
    found = stft_magnitude(torch.from_numpy(x)[None, None], fft, hop, win)[0]
    torch.testing.assert_close(found, torch.from_numpy(np.stack(frames, 1)), rtol=1e-6, atol=4e-4)


def test_magnitudes_have_a_floor_and_a_finite_gradient_in_silence() -> None:
    silence = torch.zeros(1, 1, 400, requires_grad=True)
    found = stft_magnitude(silence, 64, 16, 64)
    torch.testing.assert_close(found, torch.full_like(found, POWER_FLOOR**0.5))
    found.log().sum().backward()
    assert silence.grad is not None
    assert silence.grad.isfinite().all()
