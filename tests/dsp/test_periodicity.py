"""The periodic share: near one for pulses, near zero for noise, and spread over bins."""

import math

import pytest
import torch
from torch import Tensor

from dsp.periodicity import BAND, FFT_SIZE, STEP, band_powers, periodic_share, share_of_bins
from tests.dsp.steady_voice import (
    FRAMES,
    HOP,
    HZ,
    INSIDE,
    LOWEST,
    RATE,
    noise,
    pulses,
    steady,
    track,
)


def share(waveform: Tensor, hz: Tensor) -> Tensor:
    """Return the median periodicity over bands and over frames away from the ends."""
    return periodic_share(waveform, hz, RATE, LOWEST)[:, INSIDE].median()


@pytest.mark.parametrize("off", [1.0, 1.01])
def test_periodicity_is_near_one_for_pulses_and_near_zero_for_noise(off: float) -> None:
    assert share(pulses(steady()), track(off * HZ)) > 0.9
    assert share(noise(), track()) < 0.3
    assert share(pulses(steady()) + noise(), track(off * HZ)) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("periods", [13, 25])
def test_a_period_that_ends_between_two_samples_is_found(periods: int) -> None:
    hz = RATE / 100.5
    tone = 0.1 * torch.sin(2 * math.pi * periods / 100.5 * torch.arange(FRAMES * HOP).double())
    found = periodic_share(tone[None, None].float(), track(hz), RATE, LOWEST)
    band = round(periods / 100.5 * FFT_SIZE / STEP) - 1
    assert found[0, INSIDE, band].min() > 0.99


def test_a_glide_is_periodic() -> None:
    hz = torch.linspace(150.0, 250.0, FRAMES * HOP, dtype=torch.float64)  # in 0.6 s
    ends = hz[HOP - 1 :: HOP].float()[None]
    assert share(pulses(hz), ends) > 0.8


def test_the_powers_of_bands_are_means_of_bins() -> None:
    powers = band_powers(noise(), HOP)
    assert powers.shape == (1, FRAMES, (FFT_SIZE // 2 + 1 - BAND) // STEP + 1)
    # White noise has equal power in every band.
    assert float((powers.mean(1).log() - powers.mean().log()).abs().max()) < 0.5


def test_bins_have_the_share_of_the_band_around_them() -> None:
    num_bands = (FFT_SIZE // 2 + 1 - BAND) // STEP + 1
    shares = torch.arange(num_bands, dtype=torch.float64).expand(2, 3, -1)
    found = share_of_bins(shares, FFT_SIZE // 2 + 1)
    assert found.shape == (2, 3, FFT_SIZE // 2 + 1)
    middles = BAND // 2 + STEP * torch.arange(num_bands)
    torch.testing.assert_close(found[..., middles], shares)
    # Halfway between two middles; then beyond the outermost ones.
    torch.testing.assert_close(found[..., middles[:-1] + STEP // 2], shares[..., :-1] + 0.5)
    assert found[..., : BAND // 2].abs().max() == 0
    assert (found[..., middles[-1] :] == num_bands - 1).all()
