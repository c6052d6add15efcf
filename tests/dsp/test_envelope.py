"""The spectral envelope: the filter of pulses and noise, independent of the pitch."""

import numpy as np
import pytest
import torch
from torch import Tensor

from distill.losses.voice import NOISE_BIAS
from dsp.envelope import envelope_points, spectral_envelope
from dsp.pulses import pulse_train

RATE, HOP, FRAMES, LOWEST = 16000, 128, 60, 60.0
INSIDE = slice(8, -8)
HZ = torch.linspace(0, RATE / 2, envelope_points(RATE, LOWEST) // 2 + 1)


def track(hz: float) -> Tensor:
    return torch.full((1, FRAMES), hz)


def two_poles(waveform: Tensor) -> Tensor:
    """Filter by a formant at 1 kHz."""
    first, second = _poles()
    driven = waveform[0, 0].numpy()
    found = np.zeros_like(driven)
    for t, x in enumerate(driven):
        found[t] = x + (first * found[t - 1] if t else 0) - (second * found[t - 2] if t > 1 else 0)
    return torch.from_numpy(found)[None, None]


def response() -> Tensor:
    """Return the log-power of the formant's filter."""
    first, second = _poles()
    turn = torch.exp(-2j * torch.pi * HZ.double() / RATE)
    return -2 * (1 - first * turn + second * turn**2).abs().log()


def _poles() -> tuple[float, float]:
    radius = 0.95
    return float(2 * radius * np.cos(2 * np.pi * 1000 / RATE)), radius**2


@pytest.mark.parametrize("hz", [80.0, 170.0, 330.0])
def test_pulses_through_a_filter_show_the_filter(hz: float) -> None:
    time = torch.arange(FRAMES * HOP).double() / RATE
    pulses = pulse_train(time * hz, torch.full_like(time, hz), RATE)[None, None]
    found = spectral_envelope(two_poles(pulses), track(hz), RATE, LOWEST)[0, INSIDE]
    error = (found - response())[:, HZ < 7000].abs()
    assert error.mean() < 0.15
    # A formant as narrow as the distance of two harmonics is blurred.
    assert error.max() < 1.2


def test_noise_shows_its_variance() -> None:
    noise = 0.3 * torch.randn(1, 1, FRAMES * HOP, generator=torch.Generator().manual_seed(0))
    found = spectral_envelope(noise, track(500.0), RATE, LOWEST)
    assert float(found.median()) + NOISE_BIAS == pytest.approx(2 * np.log(0.3), abs=0.1)


def test_the_envelope_does_not_depend_on_the_positions_of_pulses() -> None:
    time = torch.arange(FRAMES * HOP).double() / RATE
    pulses = pulse_train(time * 170, torch.full_like(time, 170.0), RATE)[None, None]
    found = spectral_envelope(pulses, track(170.0), RATE, LOWEST)[0, INSIDE]
    assert (found - found.mean(0))[:, HZ < 7000].abs().max() < 0.05


def test_silence_is_finite() -> None:
    found = spectral_envelope(torch.zeros(1, 1, FRAMES * HOP), track(100.0), RATE, LOWEST)
    assert found.isfinite().all()
    assert found.max() < -20
