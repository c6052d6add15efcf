"""How far a voice is from what is periodic in a recording."""

import math

import pytest
import torch
from torch import Tensor

from distill.voice import band_powers, periodic_powers, voice_distance
from student.voice import pulse_train

RATE, HOP, FRAMES = 16000, 256, 40
HZ = 170.0
VOICED = torch.ones(1, FRAMES, dtype=torch.bool)
INSIDE = slice(4, -4)


def pulses(hz: Tensor) -> Tensor:
    """A pulse train at the pitch of each sample, (1, 1, T)."""
    train = pulse_train((hz / RATE).cumsum(0), hz, RATE)
    return 0.1 * train[None, None].float()


def steady(hz: float = HZ) -> Tensor:
    return torch.full((FRAMES * HOP,), hz, dtype=torch.float64)


def noise(deviation: float = 0.1) -> Tensor:
    drawn = torch.randn(1, 1, FRAMES * HOP, generator=torch.Generator().manual_seed(1))
    return deviation * drawn


def track(hz: float = HZ) -> Tensor:
    return torch.full((1, FRAMES), hz)


def share(waveform: Tensor, hz: Tensor) -> Tensor:
    """Median over bands and frames away from the ends."""
    periodic, whole = periodic_powers(waveform, hz, RATE), band_powers(waveform, HOP)
    return (periodic / whole)[:, INSIDE].median()


@pytest.mark.parametrize("off", [1.0, 1.01])
def test_what_is_periodic_counts_and_what_is_not_does_not(off: float) -> None:
    assert share(pulses(steady()), track(off * HZ)) > 0.9
    assert share(noise(), track()) < 0.3
    assert share(pulses(steady()) + noise(), track(off * HZ)) == pytest.approx(0.5, abs=0.1)


def test_a_glide_is_periodic() -> None:
    hz = torch.linspace(150.0, 250.0, FRAMES * HOP, dtype=torch.float64)  # in 0.6 s
    ends = hz[HOP - 1 :: HOP].float()[None]
    assert share(pulses(hz), ends) > 0.8


def test_the_distance_is_of_powers_in_bands_whatever_the_phase() -> None:
    recording = pulses(steady())
    shifted = recording.roll(31, -1)
    assert voice_distance(recording, recording, track(), VOICED, RATE) < 0.1
    assert voice_distance(shifted, recording, track(), VOICED, RATE) < 0.1
    # Twice the amplitude, four times the power.
    louder = voice_distance(2 * recording, recording, track(), VOICED, RATE)
    assert float(louder) == pytest.approx(math.log(4), abs=0.1)
    assert voice_distance(0 * recording, recording, track(), VOICED, RATE) > 3


def test_noise_beside_the_voice_does_not_count() -> None:
    recording = pulses(steady()) + noise(0.05)
    assert voice_distance(pulses(steady()), recording, track(), VOICED, RATE) < 0.3
    assert voice_distance(pulses(steady()), noise(), track(), VOICED, RATE) > 2


def test_a_silent_voice_learns() -> None:
    # The distance of whole samples gives almost nothing to do where noise has the power already.
    gain = torch.tensor(-4.0, requires_grad=True)
    voice = gain.exp() * pulses(steady())
    voice_distance(voice, pulses(steady()), track(), VOICED, RATE).backward()
    assert gain.grad is not None
    assert float(gain.grad) == pytest.approx(-2.0, abs=0.1)  # nats of power for one of amplitude


def test_unvoiced_frames_and_those_beside_them_do_not_count() -> None:
    voiced = VOICED.clone()
    voiced[:, 20:] = False
    recording, voice = pulses(steady()), pulses(steady())
    voice[..., 19 * HOP + HOP // 2 :] = 0
    assert voice_distance(voice, recording, track(), voiced, RATE) < 0.1
    assert voice_distance(voice, recording, track(), VOICED, RATE) > 1
    assert voice_distance(voice, recording, track(), ~VOICED, RATE) == 0
