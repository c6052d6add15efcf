"""Interpolation between samples and between the ends of frames."""

import pytest
import torch

from dsp.interpolation import SINC_TAPS, between_ends, linear_at, sinc_at


def test_linear_interpolation_equals_numpys_and_goes_on_beyond_the_ends() -> None:
    values = torch.tensor([[0.0, 10.0, 30.0], [1.0, 1.0, 0.0]])
    places = torch.tensor([[0.0, 0.25, 2.0], [0.5, 1.5, 3.0]])
    expected = torch.tensor([[0.0, 2.5, 30.0], [1.0, 0.5, -1.0]])
    torch.testing.assert_close(linear_at(values, places), expected)


def test_a_whole_place_has_its_own_sample() -> None:
    torch.manual_seed(0)
    signal = torch.randn(2, 40, dtype=torch.float64)
    places = torch.arange(SINC_TAPS, 30).double().expand(2, -1)
    torch.testing.assert_close(sinc_at(signal, places), signal[:, SINC_TAPS:30])


@pytest.mark.parametrize("frequency", [0.05, 0.2])  # over the sample rate
def test_a_sine_is_interpolated_between_samples(frequency: float) -> None:
    time = torch.arange(60).double()
    places = torch.linspace(10, 50, 91, dtype=torch.float64)
    sine = (2 * torch.pi * frequency * time).sin()[None]
    expected = (2 * torch.pi * frequency * places).sin()[None]
    assert float((sinc_at(sine, places[None]) - expected).abs().max()) < 0.01


def test_the_last_sample_of_a_frame_has_the_value_at_its_end() -> None:
    ends = torch.tensor([[1.0, 5.0, 3.0]])
    found = between_ends(ends, 4)
    assert found.shape == (1, 3, 4)
    assert torch.equal(found[..., -1], ends)
    assert found[0, 1].tolist() == [2.0, 3.0, 4.0, 5.0]
    assert found[0, 0].tolist() == [1.0] * 4
    assert between_ends(ends, 4, torch.zeros(1, 1))[0, 0].tolist() == [0.25, 0.5, 0.75, 1.0]
