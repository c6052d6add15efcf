"""Taps of minimum-phase filters, compiled: the recursion against a long Fourier transform."""

import pytest
import torch

from dsp.cepstrum import taps_by_transform
from dsp.filters.minimum_phase import BLOCK, COLUMNS, minimum_phase_taps


@pytest.mark.parametrize("order", [1, BLOCK - 1, BLOCK, 2 * BLOCK + 1, 64])
@pytest.mark.parametrize("filters", [1, COLUMNS, COLUMNS + 3])
def test_taps_and_gradient_are_those_of_a_long_transform(order: int, filters: int) -> None:
    torch.manual_seed(order)
    index = torch.arange(1, order + 1, dtype=torch.float64)
    cepstrum = (torch.randn(2, filters, order, dtype=torch.float64) / index).requires_grad_()
    slopes = torch.randn(cepstrum.shape, dtype=torch.float64)
    taps = minimum_phase_taps(cepstrum)
    (gradient,) = torch.autograd.grad(taps, cepstrum, slopes)
    expected = taps_by_transform(cepstrum, 256 * order)
    (wanted,) = torch.autograd.grad(expected, cepstrum, slopes)
    size = expected.abs().max().item()
    torch.testing.assert_close(taps, expected, rtol=0, atol=1e-12 * size)
    torch.testing.assert_close(gradient, wanted, rtol=0, atol=1e-11 * wanted.abs().max().item())


def test_float32_is_exact_to_a_few_roundings() -> None:
    torch.manual_seed(0)
    cepstrum = torch.randn(5, 256, dtype=torch.float64) / torch.arange(1, 257)
    exact, found = minimum_phase_taps(cepstrum), minimum_phase_taps(cepstrum.float())
    assert found.dtype == torch.float32
    error = (found - exact).abs().amax(1) / exact.abs().amax(1)
    assert error.max().item() < 2e-6


def test_one_filter_alone_has_the_same_taps() -> None:
    torch.manual_seed(0)
    cepstra = torch.randn(70, 9)
    torch.testing.assert_close(
        minimum_phase_taps(cepstra[69]), minimum_phase_taps(cepstra)[69], rtol=0, atol=0
    )
