"""Distances in the time-frequency plane, against independent computations."""

import numpy as np
import pytest
import torch

from distill import (
    SpectralConfig,
    multi_resolution_stft,
    power_distance,
    stft_power_loss,
)
from distill.losses.spectral import octave_powers
from dsp.stft import stft_power


def test_the_default_resolutions_are_parallel_wavegans() -> None:
    config = SpectralConfig()
    found = zip(config.fft_sizes, config.hop_lengths, config.win_lengths, strict=True)
    assert list(found) == [(1024, 120, 600), (2048, 240, 1200), (512, 50, 240)]


SMALL = SpectralConfig(fft_sizes=(64, 128), hop_lengths=(16, 32), win_lengths=(64, 100))


def test_spectral_distance_is_zero_for_equals_and_grows_with_distance() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 1, 512)
    assert all(float(term) < 1e-5 for term in multi_resolution_stft(x, x, SMALL))
    near = multi_resolution_stft(x + 0.01 * torch.randn_like(x), x, SMALL)
    far = multi_resolution_stft(x + 0.1 * torch.randn_like(x), x, SMALL)
    assert all(0 < a < b for a, b in zip(near, far, strict=True))


def test_spectral_distance_ignores_the_sign_but_not_the_level() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 1, 512)
    assert all(float(term) < 1e-5 for term in multi_resolution_stft(-x, x, SMALL))
    convergence, log_magnitude = multi_resolution_stft(0.5 * x, x, SMALL)
    assert float(convergence) == pytest.approx(0.5, rel=1e-3)
    assert float(log_magnitude) == pytest.approx(np.log(2), rel=1e-2)


def test_power_distance_measures_the_level_without_bias() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 1, 20_000)
    assert float(power_distance(x, x, SMALL)) == 0
    assert float(power_distance(0.5 * x, x, SMALL)) == pytest.approx(2 * np.log(2), rel=1e-3)
    # Against other noise of the same level, the level itself is the best gain.
    gains = [0.7, 0.85, 1.0, 1.15, 1.3]
    other = torch.randn_like(x)
    distances = [float(power_distance(gain * other, x, SMALL)) for gain in gains]
    assert gains[int(np.argmin(distances))] == 1.0
    single_bins = [float(multi_resolution_stft(gain * other, x, SMALL)[0]) for gain in gains]
    assert gains[int(np.argmin(single_bins))] < 1.0


@pytest.mark.parametrize(
    ("fft", "firsts"),
    [
        (1024, [1, 4, 8, 16, 32, 64, 128, 256]),
        (64, [1, 4, 8, 16]),
        (600, [1, 4, 8, 16, 32, 64, 128]),
        (514, [1, 4, 8, 16, 32, 64, 128]),
    ],
)
def test_octaves_share_all_bins_but_the_constant(fft: int, firsts: list[int]) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 1, 3 * fft, dtype=torch.float64)
    bins = stft_power(x, fft, fft // 4, fft).mean(-1)
    ends = [*firsts[1:], bins.shape[1]]
    expected = [bins[:, a:b].sum(1) for a, b in zip(firsts, ends, strict=True)]
    torch.testing.assert_close(octave_powers(x, fft, fft // 4, fft), torch.stack(expected, 1))


def test_no_octave_outweighs_the_others_by_far() -> None:
    # The bin of half the sample rate was an octave of its own.
    torch.manual_seed(0)
    config = SpectralConfig(fft_sizes=(1024,), hop_lengths=(120,), win_lengths=(600,))
    x, y = torch.randn(2, 4, 1, 8192, dtype=torch.float64)
    resolution = (1024, 120, 600)
    powers = octave_powers(x, *resolution).requires_grad_()
    assert powers.shape == (4, 8)
    distance = (powers.log() - octave_powers(y, *resolution).log()).abs().mean()
    torch.testing.assert_close(power_distance(x, y, config), distance)
    waveform = x.requires_grad_()
    norms = []
    for octave in range(powers.shape[1]):
        (gradient,) = torch.autograd.grad(
            octave_powers(waveform, *resolution)[:, octave].log().sum(), waveform
        )
        norms.append(float(gradient.norm()))
    # White noise: the gradient of a band's log-power falls as the root of its bins.
    assert norms == sorted(norms, reverse=True)


def test_spectral_gradient_is_finite_in_silence() -> None:
    x = torch.zeros(1, 1, 512, requires_grad=True)
    convergence, log_magnitude = multi_resolution_stft(x, torch.randn(1, 1, 512), SMALL)
    (convergence + log_magnitude).backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_spectral_errors_quote_the_values() -> None:
    with pytest.raises(ValueError, match="one value per resolution"):
        SpectralConfig(fft_sizes=(64,), hop_lengths=(16, 16), win_lengths=(64,))
    with pytest.raises(ValueError, match="fft 64, hop 16, win 65"):
        SpectralConfig(fft_sizes=(64,), hop_lengths=(16,), win_lengths=(65,))
    with pytest.raises(ValueError, match="not equal"):
        multi_resolution_stft(torch.zeros(1, 1, 512), torch.zeros(1, 1, 256), SMALL)


def test_stft_power_loss_is_the_relative_squared_distance_of_power() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 1, 2048, dtype=torch.float64)
    assert float(stft_power_loss(x, x, SMALL)) == 0
    # Half the amplitude is a quarter of the power, three quarters away.
    assert float(stft_power_loss(0.5 * x, x, SMALL)) == pytest.approx(0.75**2)
    assert float(stft_power_loss(-x, x, SMALL)) == pytest.approx(0)


def test_stft_power_loss_means_the_same_at_any_level() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(2, 1, 1, 2048, dtype=torch.float64)
    expected = float(stft_power_loss(x, y, SMALL))
    assert float(stft_power_loss(0.1 * x, 0.1 * y, SMALL)) == pytest.approx(expected)


def test_stft_power_loss_of_silence_is_finite() -> None:
    x = torch.randn(1, 1, 512, requires_grad=True)
    loss = stft_power_loss(0.001 * x, torch.zeros(1, 1, 512), SMALL)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(x.grad).all()  # type: ignore[arg-type]
