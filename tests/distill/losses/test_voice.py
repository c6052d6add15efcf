"""The voice and noise in a recording, and the distance of filters from them."""

import math

import pytest
import torch
from torch import Tensor

from distill.losses.voice import NOISE_BIAS, SourceSpectra, filters_distance, source_spectra
from dsp.envelope import envelope_points, spectral_envelope
from student.voice.filters import SourceFilters
from tests.dsp.steady_voice import FRAMES, HOP, INSIDE, LOWEST, RATE, noise, pulses, steady, track

EACH = 2
VOICED = torch.ones(1, FRAMES, dtype=torch.bool)


def spectra(waveform: Tensor, voiced: Tensor = VOICED) -> SourceSpectra:
    return source_spectra(waveform, track(), voiced, EACH, RATE, LOWEST)


def inside(values: Tensor) -> Tensor:
    return values[:, INSIDE.start * EACH : INSIDE.stop * EACH]


def flat(level: float, order: int) -> Tensor:
    """Make parameters of filters with a flat gain, in nats of power."""
    raw = torch.zeros(1, FRAMES * EACH, order + 1)
    raw[..., 0] = level / 2
    return raw


def filters(voice: float, breath: float, noise: float) -> SourceFilters:
    return SourceFilters(flat(voice, 30), flat(breath, 10), flat(noise, 10))


def distance(found: SourceFilters, wanted: SourceSpectra) -> float:
    return float(filters_distance(found, wanted, INSIDE.start * EACH, RATE))


LEVEL = math.log(0.01)  # of pulses and noise at a deviation of 0.1


def test_a_voice_is_periodic_and_noise_is_not() -> None:
    of_pulses, of_noise = spectra(pulses(steady())), spectra(noise())
    assert of_pulses.voice.shape == (1, FRAMES * EACH, envelope_points(RATE, LOWEST) // 2 + 1)
    assert float(inside(of_pulses.voice).median()) == pytest.approx(LEVEL, abs=0.05)
    assert float(inside(of_pulses.breath).median()) < LEVEL - 5
    assert float(inside(of_noise.breath).median()) == pytest.approx(LEVEL, abs=1.0)
    assert inside(of_noise.voice).median() < inside(of_noise.breath).median()


@pytest.mark.parametrize("edge", [4000.0, 7500.0])
def test_the_voice_ends_at_the_frequency_where_the_noise_begins(edge: float) -> None:
    above = torch.fft.rfftfreq(FRAMES * HOP, 1 / RATE) > edge
    parts = (torch.fft.rfft(part) for part in (pulses(steady()), noise()))
    mixed = torch.fft.irfft(torch.where(above, *reversed([*parts])))
    found = spectra(mixed)
    difference = inside(found.voice - found.breath).median(1).values[0]
    hz = torch.linspace(0, RATE / 2, len(difference))
    assert difference[hz < edge - 250].min() > 2.0
    of_noise = difference[hz > edge + 250]
    assert -2.0 < of_noise.min() < of_noise.max() < 1.0


def test_the_envelope_of_noise_is_that_of_a_pitch_of_500_hz_at_most() -> None:
    for rate, hz in ((24000, 500.0), (16000, 500.0), (8000, 250.0)):
        found = source_spectra(noise(), track(), ~VOICED, EACH, rate, LOWEST)
        pitch = torch.full((1, FRAMES * EACH), hz)
        expected = spectral_envelope(noise(), pitch, rate, LOWEST) + NOISE_BIAS
        torch.testing.assert_close(found.noise, expected)


def test_an_unvoiced_recording_is_all_noise() -> None:
    voiced = VOICED.clone()
    voiced[:, 20:] = False
    found = spectra(noise(), voiced)
    # In the middle of the frame that the voice fades in.
    assert found.voiced[0].tolist() == [True] * (20 * EACH + 1) + [False] * (20 * EACH - 1)
    assert float(found.noise[:, 22 * EACH : -8].median()) == pytest.approx(LEVEL, abs=0.15)


def test_the_distance_is_of_log_powers() -> None:
    wanted = SourceSpectra(*(torch.full((1, FRAMES * EACH, 513), x) for x in (1.0, -2.0, 0.5)),
                           VOICED.repeat_interleave(EACH, 1))  # fmt: skip
    assert distance(filters(1.0, -2.0, 9.0), wanted) == pytest.approx(0.0, abs=1e-5)
    assert distance(filters(1.8, -2.0, 0.0), wanted) == pytest.approx(0.4, abs=1e-5)
    assert distance(filters(1.0, -3.0, 0.0), wanted) == pytest.approx(0.5, abs=1e-5)
    unvoiced = wanted._replace(voiced=~wanted.voiced)
    assert distance(filters(8.0, 8.0, 0.75), unvoiced) == pytest.approx(0.25, abs=1e-5)


def test_low_frequencies_weigh_more() -> None:
    low, high = torch.zeros(1, FRAMES * EACH, 513), torch.zeros(1, FRAMES * EACH, 513)
    low[..., :64] = high[..., -64:] = 1.0
    nothing, voiced = torch.zeros_like(low), VOICED.repeat_interleave(EACH, 1)
    found = filters(0.0, 0.0, 0.0)
    far, near = (
        distance(found, SourceSpectra(part, nothing, nothing, voiced)) for part in (low, high)
    )
    assert far > 4 * near > 0


def test_the_ends_of_a_clip_do_not_count() -> None:
    wanted = spectra(pulses(steady()))
    spoilt = wanted._replace(voice=wanted.voice.clone())
    spoilt.voice[:, : INSIDE.start * EACH] = 50.0
    spoilt.voice[:, INSIDE.stop * EACH :] = 50.0
    found = filters(LEVEL, LEVEL, LEVEL)
    assert distance(found, spoilt) == distance(found, wanted)


def test_filters_without_one_for_noise_are_compared_as_they_are() -> None:
    wanted = spectra(pulses(steady()))
    voice_alone = filters(LEVEL, 0.0, 0.0)._replace(
        breath=torch.zeros(1, FRAMES * EACH, 0), noise=torch.zeros(1, FRAMES * EACH, 0)
    )
    assert distance(voice_alone, wanted) < 0.1


def test_a_silent_voice_learns() -> None:
    # A distance between samples has almost no gradient if noise already has the power.
    gain = torch.tensor(-4.0, requires_grad=True)
    found = filters(LEVEL, LEVEL, LEVEL)
    found = found._replace(voice=found.voice + torch.cat([gain[None], torch.zeros(30)]))
    filters_distance(found, spectra(pulses(steady())), INSIDE.start * EACH, RATE).backward()
    assert gain.grad is not None
    assert float(gain.grad) == pytest.approx(-1.0, abs=0.05)  # half of 2 nats of power for one
