"""Alignment of an excitation's pulses with a recording's."""

import pytest
import torch
from torch import Tensor

from student.voice.alignment import aligned_cycles

RATE, HOP, FRAMES = 16000, 256, 40


def running_phase(hz: float, first: float = 0.0) -> Tensor:
    time = torch.arange(1, FRAMES * HOP + 1).double() / RATE
    return (first + hz * time).unflatten(0, (FRAMES, HOP))[None]


def pulses_at_whole(cycles: Tensor) -> Tensor:
    """Make energy in one sample of each period, where the phase becomes whole."""
    count = cycles.flatten(1).floor()
    return (count.diff(dim=1, prepend=count[:, :1]) > 0).double()


def distance(cycles: Tensor, other: Tensor) -> Tensor:
    """Return the smallest distance between phases, in cycles."""
    apart = cycles - other
    return (apart - apart.round()).abs()


@pytest.mark.parametrize("hz", [80.0, 211.0])
@pytest.mark.parametrize("off", [1.0, 1.01])
def test_the_phase_goes_where_the_energy_is(hz: float, off: float) -> None:
    recording, guess = running_phase(hz, 0.37), running_phase(off * hz)
    voiced = torch.ones(1, FRAMES, dtype=torch.bool)
    found = aligned_cycles(guess, voiced, pulses_at_whole(recording), RATE)
    inside = slice(3, -3)  # the window of a frame at an edge holds one side only
    assert float(distance(found, recording)[:, inside].max()) < 0.5 * hz / RATE + 0.02
    assert float(distance(guess, recording)[:, inside].max()) > 0.2


def test_a_correct_phase_stays() -> None:
    recording = running_phase(100.0)
    voiced = torch.ones(1, FRAMES, dtype=torch.bool)
    found = aligned_cycles(recording, voiced, pulses_at_whole(recording), RATE)
    assert float((found - recording).abs().max()) < 0.01


def test_the_shift_is_constant_where_a_voice_starts_and_ends() -> None:
    recording, guess = running_phase(100.0, 0.4), running_phase(100.0)
    voiced = torch.zeros(1, FRAMES, dtype=torch.bool)
    voiced[:, 10:20] = True
    energy = pulses_at_whole(recording)
    energy[:, : 9 * HOP] = torch.rand(9 * HOP, generator=torch.Generator().manual_seed(1)).double()
    shift = aligned_cycles(guess, voiced, energy, RATE) - guess
    around = shift[:, 10:21]  # from the end of frame 9 to that of frame 20
    assert float(around.diff(dim=-1).abs().max()) < 1e-3
    assert float(distance(around, torch.tensor(0.4)).max()) < 0.05
