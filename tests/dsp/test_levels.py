"""Levels of frames, and the level where a recording is silent."""

import pytest
import torch

from dsp.levels import frame_levels, level_in_silence

HOP = 256


def test_a_frame_has_the_level_of_its_samples() -> None:
    waveform = torch.zeros(2, 1, 3 * HOP + 5)
    waveform[0, 0, HOP : 2 * HOP] = 0.1
    levels = frame_levels(waveform, HOP)
    expected = torch.tensor([[-120.0, -20.0, -120.0], [-120.0] * 3])
    torch.testing.assert_close(levels, expected)


def test_silence_is_where_the_recording_is_silent() -> None:
    recording = 0.1 * torch.randn(1, 1, 32 * HOP, generator=torch.Generator().manual_seed(0))
    assert level_in_silence(recording, recording, HOP) is None
    pause = recording.clone()
    pause[..., 16 * HOP :] = 0
    hiss = torch.where(pause == 0, 1e-3 * torch.ones_like(pause), pause)
    assert level_in_silence(hiss, pause, HOP) == pytest.approx(-60)


def test_an_incomplete_frame_is_left_out() -> None:
    assert frame_levels(torch.zeros(2, 1, HOP - 1), HOP).shape == (2, 0)
