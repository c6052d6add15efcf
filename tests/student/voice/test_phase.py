"""The running phase: the integral of a pitch, continuous and exact."""

import pytest
import torch
from torch import Tensor

from student.voice.phase import Phase, run_phase

RATE, HOP = 400, 16


def oscillate(hz: Tensor, phase: Phase | None = None) -> tuple[Tensor, Tensor, Phase]:
    return run_phase(hz, phase, HOP, RATE)


def test_steady_pitch_is_a_steady_phase() -> None:
    cycles, hz, _ = oscillate(torch.full((1, 5), 30.0))
    time = torch.arange(1, 5 * HOP + 1).double()
    error = (cycles.flatten() - 30 * time / RATE + 0.5).remainder(1.0) - 0.5
    assert error.abs().max() < 1e-12
    assert (hz == 30).all()


def test_pitch_goes_linearly_between_frames_and_the_phase_is_its_integral() -> None:
    cycles, hz, phase = oscillate(torch.tensor([[25.0, 50.0, 35.0]], dtype=torch.float64))
    steps = torch.diff(cycles.flatten()).remainder(1.0) * RATE
    # In the second frame, the pitch half a sample before each sample.
    expected = 25.0 + 25.0 * (torch.arange(HOP) + 0.5) / HOP
    torch.testing.assert_close(steps[HOP - 1 : 2 * HOP - 1], expected.double())
    torch.testing.assert_close(hz[0, 1], 25.0 + 25.0 * (torch.arange(HOP) + 1.0).double() / HOP)
    assert float(phase.hz) == 35.0
    torch.testing.assert_close(phase.cycles[0, 0], cycles[0, -1, -1].remainder(1.0))


def test_an_hour_does_not_blur_the_phase() -> None:
    _, _, phase = oscillate(torch.full((1, 3600 * RATE // HOP), 37.0))
    assert float((phase.cycles - 0.5).remainder(1.0) - 0.5) == pytest.approx(0.0, abs=1e-6)


def test_pieces_join_to_the_whole() -> None:
    hz = 20 + 40 * torch.rand(2, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    whole, *_ = oscillate(hz)
    first, _, phase = oscillate(hz[:, :3])
    last, *_ = oscillate(hz[:, 3:], phase)
    apart = torch.cat([first, last], 1) - whole
    assert float((apart - apart.round()).abs().max()) < 1e-12
