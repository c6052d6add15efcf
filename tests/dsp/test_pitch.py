"""Pitch measured by YIN, and its rows in the conditioning."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from data import (
    MelConfig,
    PitchConfig,
    PrepareConfig,
    check_pitch_rows,
    log_mel,
    pitch_rows,
    with_pitch,
    yin,
)
from dsp import pitch as pitch_module
from dsp.mel import FeatureMismatch

MEL = MelConfig()
HOP, RATE = MEL.hop_length, MEL.sample_rate
PITCH = PitchConfig(kind="yin")


def harmonics(hz: Tensor) -> Tensor:
    """Make a voice-like tone from each sample's pitch, (1, 1, T)."""
    phase = (hz.double() / RATE).cumsum(0)
    parts = [torch.cos(2 * torch.pi * k * phase) / k for k in range(1, 12)]
    return 0.1 * torch.stack(parts).sum(0)[None, None]


def measure(waveform: Tensor) -> tuple[Tensor, Tensor]:
    return yin(waveform, RATE, HOP, PITCH.fmin_hz, PITCH.fmax_hz)


@pytest.mark.parametrize("low", [70.0, 120.0, 230.0])
def test_yin_follows_a_glide(low: float) -> None:
    glide = torch.linspace(low, 1.4 * low, 64 * HOP)
    hz, voiced = measure(harmonics(glide))
    inside = slice(3, -3)
    assert voiced[0, inside].all()
    expected = glide[HOP - 1 :: HOP].double()
    torch.testing.assert_close(hz[0, inside], expected[inside], rtol=0.015, atol=0)


def test_noise_and_silence_are_unvoiced() -> None:
    noise = 0.1 * torch.randn(1, 1, 64 * HOP, generator=torch.Generator().manual_seed(0))
    quiet = 1e-4 * harmonics(torch.full((64 * HOP,), 120.0))
    for waveform in (noise, quiet, torch.zeros_like(noise)):
        assert not measure(waveform)[1].any()


def test_pitch_is_bridged_where_unvoiced() -> None:
    hz = torch.tensor([[999.0, 100.0, 999.0, 999.0, 999.0, 400.0, 999.0]])
    voiced = torch.tensor([[0, 1, 0, 0, 0, 1, 0]])
    octaves, voicing = pitch_rows(hz.log2(), voiced, PITCH)[0]
    torch.testing.assert_close(
        octaves.exp2(), torch.tensor([100, 100, 100 * 2**0.5, 200, 200 * 2**0.5, 400, 400]).double()
    )
    assert torch.equal(voicing, voiced[0].double())
    unvoiced = pitch_rows(hz.log2(), torch.zeros_like(voiced), PITCH)[0, 0]
    torch.testing.assert_close(unvoiced.exp2(), torch.full((7,), math.sqrt(60 * 400)).double())


def test_rows_of_a_recording_lie_below_its_bands() -> None:
    waveform = harmonics(torch.full((20 * HOP,), 150.0)).float()
    waveform[..., : 8 * HOP] = 0
    frames = log_mel(waveform, MEL)
    told = with_pitch(frames, waveform, MEL, PITCH)
    assert torch.equal(told[:, :80], frames)
    # Frames at an edge are neither.
    assert not told[0, 81, :7].any()
    assert told[0, 81, 9:19].all()
    torch.testing.assert_close(told[0, 80, :18].exp2(), torch.full((18,), 150.0), rtol=0.01, atol=0)
    assert with_pitch(frames, waveform, MEL, PitchConfig()) is frames


def test_pieces_are_measured_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    waveform = harmonics(torch.linspace(80, 300, 40 * HOP))
    waveform = waveform + 0.03 * torch.randn(waveform.shape, generator=generator)
    waveform = waveform[..., : 40 * HOP - 100]
    frames = log_mel(waveform, MEL)
    whole = with_pitch(frames, waveform, MEL, PITCH)
    for length in (1, 7, 38):
        monkeypatch.setattr(pitch_module, "FRAMES_AT_ONCE", length)
        torch.testing.assert_close(with_pitch(frames, waveform, MEL, PITCH), whole)


@pytest.mark.parametrize(
    ("octaves", "voicing", "message"),
    [
        (7.0, 0.5, "the row of voicing holds 0.5, expected 0 or 1"),
        (
            220.0,
            1.0,
            r"the row of pitch holds 220 in a voiced frame, expected log2 of Hz, 3\.32 to",
        ),
        (0.0, 1.0, "the row of pitch holds 0 in a voiced frame"),
    ],
)
def test_impossible_pitch_rows_are_refused(octaves: float, voicing: float, message: str) -> None:
    rows = torch.tensor([[7.0, octaves], [1.0, voicing]])
    with pytest.raises(ValueError, match=message):
        check_pitch_rows(rows, RATE)
    rows[1, 1] = 0
    check_pitch_rows(rows, RATE)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "crepe"}, r"pitch\.kind is 'crepe', expected 'none' or 'yin'"),
        ({"fmin_hz": 9.0}, r"fmin_hz 9\.0 and fmax_hz 400\.0, expected 10 <= fmin_hz < fmax_hz"),
        ({"fmin_hz": 400.0}, "fmin_hz < fmax_hz"),
        ({"fmax_hz": math.inf}, "fmax_hz inf"),
        ({"fmin_hz": math.nan}, "fmin_hz nan"),
    ],
)
def test_config_errors_name_the_field(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PitchConfig(**values)


def test_pitch_is_at_most_a_quarter_of_the_rate() -> None:
    high = PitchConfig(kind="yin", fmax_hz=5000.0)
    with pytest.raises(ValueError, match=r"pitch\.fmax_hz is 5000\.0, expected at most a quarter"):
        PrepareConfig(pitch=high)
    PrepareConfig(pitch=replace(high, kind="none"))


def test_mismatch_names_the_field() -> None:
    PITCH.check_same(PITCH, "model")
    PitchConfig().check_same(PitchConfig(fmin_hz=50.0), "model")  # measured by neither
    with pytest.raises(FeatureMismatch, match=r"model: pitch\.fmin_hz is 50\.0, expected 60\.0"):
        PITCH.check_same(replace(PITCH, fmin_hz=50.0), "model")
    with pytest.raises(FeatureMismatch, match=r"model: pitch\.kind is 'yin', expected 'none'"):
        PitchConfig().check_same(PITCH, "model")


@pytest.mark.parametrize("hz", [61.0, 394.0, 396.0, 398.0, 400.0])
def test_a_pitch_at_the_edge_of_the_range_is_no_octave_off(hz: float) -> None:
    time = torch.arange(RATE, dtype=torch.float64) / RATE
    voice = torch.stack([torch.cos(2 * math.pi * hz * k * time) for k in range(1, 8)]).sum(0)
    found, voiced = yin(voice[None, None], RATE, HOP, PITCH.fmin_hz, PITCH.fmax_hz)
    torch.testing.assert_close(
        found[0, 10:-10], torch.full_like(found[0, 10:-10], hz), rtol=5e-3, atol=0
    )
    assert voiced[0, 10:-10].all()


def test_a_pitch_that_is_no_number_is_refused_in_an_unvoiced_frame_too() -> None:
    rows = torch.tensor([[7.0, math.nan, 7.0], [1.0, 0.0, 1.0]])
    with pytest.raises(ValueError, match=r"the row of pitch holds nan, expected log2 of Hz in ev"):
        check_pitch_rows(rows, RATE)
