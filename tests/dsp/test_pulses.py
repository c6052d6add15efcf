"""Pulse trains, and the energy that shows where the pulses of a voice are."""

import pytest
import torch

from dsp.pulses import pulse_train, residual_energy

RATE = 400


@pytest.mark.parametrize("hz", [37.0, 50.0, 199.0])  # at 50 Hz a harmonic lies at half the rate
def test_pulses_are_the_sum_of_all_harmonics_at_unit_power(hz: float) -> None:
    time = torch.arange(4000).double() / RATE
    count = int(RATE / 2 / hz)
    harmonics = torch.arange(1, count + 1).double()[:, None]
    expected = (2 * torch.pi * harmonics * hz * time).cos().sum(0) * (2 / count) ** 0.5
    found = pulse_train(time * hz, torch.full_like(time, hz), RATE)
    torch.testing.assert_close(found, expected)
    if hz != 50.0:
        assert float(found.square().mean()) == pytest.approx(1.0, rel=0.02)


def test_residual_energy_peaks_at_the_pulses_of_a_filtered_train() -> None:
    cycles = (120.0 * torch.arange(1, 10241).double() / 16000).floor()
    pulses = (cycles.diff(prepend=cycles[:1]) > 0).double()  # one sample of each period
    x = torch.zeros(pulses.shape[0] + 2, dtype=torch.float64)
    for t, pulse in enumerate(pulses.tolist()):  # a resonance at 700 Hz
        x[t + 2] = pulse + 1.85 * x[t + 1] - 0.93 * x[t]
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    waveform = (x + 1e-3 * noise)[None, None, 2:]
    energy = residual_energy(waveform)
    assert energy.shape == (1, pulses.shape[0])
    assert float(energy[0][pulses > 0].sum() / energy.sum()) > 0.9
    # Only a small part of the waveform's own energy lies there.
    assert float(waveform[0, 0][pulses > 0].square().sum() / waveform.square().sum()) < 0.1


@pytest.mark.parametrize("samples", [1, 100, 128, 1000])
def test_residual_energy_of_any_length_and_of_silence(samples: int) -> None:
    assert torch.equal(
        residual_energy(torch.zeros(2, 1, samples)), torch.zeros(2, samples).double()
    )
