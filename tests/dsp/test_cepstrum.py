"""Minimum-phase filters from their cepstra: taps and spectra."""

import torch

from dsp.cepstrum import cepstra_of, cepstra_of_bands, log_power_spectra, taps_from_cepstrum


def test_cepstrum_of_a_known_filter() -> None:
    """log(1 + a z^-1) = sum_k (-1)^(k+1) a^k / k z^-k."""
    k = torch.arange(1, 31, dtype=torch.float64)
    cepstrum = -((-0.7) ** k) / k
    expected = torch.zeros(30, dtype=torch.float64)
    expected[0] = 0.7
    torch.testing.assert_close(taps_from_cepstrum(cepstrum), expected, rtol=0, atol=1e-9)


def test_the_log_spectrum_is_that_of_the_taps() -> None:
    torch.manual_seed(0)
    raw = torch.nn.functional.pad(0.3 * torch.randn(2, 3, 6, dtype=torch.float64), (0, 40))
    taps = torch.nn.functional.pad(taps_from_cepstrum(cepstra_of(raw)), (1, 0), value=1.0)
    expected = torch.fft.rfft(taps * raw[..., :1].exp(), n=256).abs().square().log()
    torch.testing.assert_close(log_power_spectra(raw, 256), expected)


def test_a_spectrum_that_is_linear_between_bands_has_the_cepstra_of_its_bands() -> None:
    band_hz = torch.linspace(0, 8000, 17, dtype=torch.float64)
    log_magnitude = torch.cos(torch.pi * band_hz / 8000)  # c_1 = 1/2 * 2, all others 0
    found = cepstra_of_bands(8, band_hz, 16000) @ log_magnitude
    expected = torch.zeros(9, dtype=torch.float64)
    expected[1] = 1.0
    torch.testing.assert_close(found, expected, rtol=0, atol=0.01)
