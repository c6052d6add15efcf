"""Pitch along the best path, measured on signals of known pitch."""

import pytest
import torch
from torch import Tensor

from dsp.pitch_path import _cheapest_path, pitch_path

RATE, HOP, LOW, HIGH = 16000, 256, 60.0, 400.0
INSIDE = slice(3, -3)


def harmonics(hz: Tensor, rate: int = RATE) -> Tensor:
    """Make a voice-like tone from each sample's pitch, (1, 1, T)."""
    phase = (hz.double() / rate).cumsum(0)
    parts = [torch.cos(2 * torch.pi * k * phase + k * k) / k for k in range(1, 12)]
    return 0.1 * torch.stack(parts).sum(0).float()[None, None]


def measure(waveform: Tensor, rate: int = RATE) -> Tensor:
    return pitch_path(waveform, rate, HOP, LOW, HIGH)[0]


def cents(found: Tensor, hz: Tensor) -> Tensor:
    return 1200 * (found / hz).log2().abs()


@pytest.mark.parametrize("rate", [16000, 22050])
@pytest.mark.parametrize("hz", [61.0, 133.7, 250.0, 399.0])
def test_a_steady_pitch_is_exact_to_half_a_cent(hz: float, rate: int) -> None:
    found = measure(harmonics(torch.full((40 * HOP,), hz), rate), rate)
    assert float(cents(found, torch.tensor(hz))[INSIDE].max()) < 0.5


@pytest.mark.parametrize("octaves", [0.5, -0.5])
def test_a_glide_is_measured_at_the_end_of_each_frame(octaves: float) -> None:
    glide = 160.0 * torch.exp2(octaves * torch.linspace(-0.5, 0.5, 48 * HOP))
    found = measure(harmonics(glide))
    # The glide moves 0.8 cents in a millisecond.
    assert float(cents(found, glide[HOP - 1 :: HOP])[INSIDE].max()) < 1.5


def test_noise_in_single_frames_does_not_move_the_path_by_an_octave() -> None:
    torch.manual_seed(0)
    clean = harmonics(torch.full((40 * HOP,), 120.0))
    noise = 0.3 * torch.randn_like(clean)
    hit = torch.zeros(40).bool()
    hit[9:30:5] = True
    noisy = torch.where(hit.repeat_interleave(HOP), noise, clean)
    assert float(cents(measure(noisy), torch.tensor(120.0))[INSIDE].max()) < 300


def test_recordings_of_a_batch_do_not_depend_on_each_other() -> None:
    pair = torch.cat([harmonics(torch.full((30 * HOP,), hz)) for hz in (90.0, 310.0)])
    together = pitch_path(pair, RATE, HOP, LOW, HIGH)
    for row, alone in zip(pair, together, strict=True):
        torch.testing.assert_close(measure(row[None]), alone, rtol=1e-5, atol=0)


@pytest.mark.parametrize("frames", [1, 2, 30])
def test_silence_has_a_pitch_within_the_range(frames: int) -> None:
    found = measure(torch.zeros(1, 1, frames * HOP))
    assert found.shape == (frames,)
    assert bool(((found >= LOW) & (found <= HIGH)).all())


def test_the_path_is_the_cheapest_of_all_paths() -> None:
    generator = torch.Generator().manual_seed(0)
    cost = torch.rand(2, 4, 3, generator=generator)
    jump = 0.3 * torch.rand(3, 3, generator=generator)
    jump = jump + jump.T
    found = _cheapest_path(cost, jump)

    def total(row: int, path: Tensor) -> float:
        stay = cost[row, torch.arange(4), path].sum()
        return float(stay + jump[path[:-1], path[1:]].sum())

    paths = torch.cartesian_prod(*[torch.arange(3)] * 4)
    for row in range(2):
        assert total(row, found[row]) == pytest.approx(min(total(row, p) for p in paths))


def test_autocast_and_double_precision_do_not_change_the_pitch() -> None:
    waveform = harmonics(torch.full((20 * HOP,), 170.0))
    alone = measure(waveform)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(measure(waveform), alone)
    double = measure(waveform.double())
    assert double.dtype == torch.float64
    assert torch.equal(double.float(), alone)
