"""Distances between waveforms and between pitch tracks."""

import math

import numpy as np
import pytest
import torch

from data import MelConfig, log_mel
from pipelines.evaluation import distances
from pipelines.evaluation.distances import (
    frame_lines,
    level_ratio,
    mel_cepstral_distortion,
    pitch_errors,
)

MEL = MelConfig()


def noise(seconds: float = 1.0, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(1, 1, int(16000 * seconds), generator=generator)


def test_distortion_of_a_gain_is_nothing_and_of_a_tilt_its_decibels() -> None:
    x = noise()
    assert mel_cepstral_distortion(x, x, MEL) == 0
    assert mel_cepstral_distortion(3 * x, x, MEL) == pytest.approx(0, abs=1e-3)
    # A log-spectrum that differs by a cos(π (k + ½) / M) has c_1 = a and no other coefficient.
    bands = MEL.num_mels
    ripple = 0.5 * torch.cos(math.pi * (torch.arange(bands) + 0.5) / bands)
    plain = log_mel(x.double(), MEL)[0]
    frames = iter([plain + ripple[:, None], plain])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distances, "_log_magnitudes", lambda *_: next(frames))
        found = mel_cepstral_distortion(x, x, MEL)
    assert found == pytest.approx(10 / math.log(10) * math.sqrt(2) * 0.5)


def test_distortion_counts_spoken_frames_only() -> None:
    x = noise()
    x[..., :8000] = 0
    y = x.clone()
    y[..., :7000] += 1e-4 * noise()[..., :7000]
    assert mel_cepstral_distortion(y, x, MEL) == pytest.approx(0, abs=1e-6)
    assert mel_cepstral_distortion(x, torch.zeros_like(x), MEL) is None


def test_pitch_errors_leave_octaves_to_their_own_measure() -> None:
    recording = np.array([0.0, 100.0, 100.0, 100.0, 100.0, 0.0, 0.0, 100.0])
    semitone = 100.0 * 2 ** (1 / 12)
    sample = np.array([0.0, semitone, semitone, 200.0, 50.0, 120.0, 0.0, 0.0])
    errors = pitch_errors(sample, recording)
    assert errors["f0_rmse_cents"] == pytest.approx(100)
    assert errors["f0_octave_errors"] == 0.5
    assert errors["voicing_error"] == 0.25


def test_pitch_errors_without_voiced_frames_are_none() -> None:
    errors = pitch_errors(np.zeros(4), np.array([0.0, 100.0, 100.0, 0.0]))
    assert errors == {"f0_rmse_cents": None, "f0_octave_errors": None, "voicing_error": 0.5}


def test_the_level_is_a_ratio() -> None:
    x = noise()
    assert level_ratio(0.5 * x, x) == pytest.approx(0.5)


def test_lines_stand_out_at_the_frame_rate_alone() -> None:
    x = noise().repeat(1, 1, 4)
    assert frame_lines(x, 64) == pytest.approx(0, abs=0.6)
    pattern = torch.randn(64, generator=torch.Generator().manual_seed(1))
    lined = x + 0.5 * x.std() * pattern.repeat(x.shape[-1] // 64)
    found = frame_lines(lined, 64)
    assert found is not None
    assert found > 5
    other = frame_lines(lined, 50)
    assert other is not None
    assert abs(other) < 2
    assert frame_lines(x, 1) is None
    assert frame_lines(x, 2) is None  # its one line, half the sample rate, has no bins above it
    assert frame_lines(x, 3) == pytest.approx(0, abs=3)
    window = 64 * -(-distances.LINE_WINDOW // 64)
    assert frame_lines(x[..., : window - 1], 64) is None
    assert frame_lines(x[..., :window], 64) is not None


def test_the_highest_line_with_neighbours_above_it_counts() -> None:
    # With frames of 220 samples, lines lie 10 bins apart, and half the sample rate is bin 1100.
    x, time = noise().double(), torch.arange(16000).double()
    without = frame_lines(x, 220)
    assert without is not None
    for bin_, counts in ((1090, True), (1094, False)):
        tone = 0.1 * torch.cos(2 * math.pi * bin_ / 2200 * time)
        found = frame_lines(x + tone, 220)
        assert found is not None
        assert (found > without) == counts  # beside another line it counts as a neighbour


@pytest.mark.parametrize("frame_length", [8, 128, 200, 256, 512])
def test_a_click_in_every_frame_is_found(frame_length: int) -> None:
    x = 5e-4 * torch.randn(1, 1, 32000, generator=torch.Generator().manual_seed(0))
    x[..., ::frame_length] += 0.5
    found = frame_lines(x, frame_length)
    assert found is not None
    assert found > 30
