"""Recordings played faster or slower."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from data import Manifest, MelConfig, PitchConfig, SegmentSampler, UtteranceSet, log_mel
from data.prepared.given_mels import MelSource
from data.prepared.speed import draw_speeds, played

MEL = MelConfig()
HOP = MEL.hop_length


def tone(hz: float, seconds: float = 2.0) -> np.ndarray:
    times = np.arange(int(seconds * MEL.sample_rate)) / MEL.sample_rate
    return np.round(8000 * np.sin(2 * np.pi * hz * times)).astype(np.int16)


@pytest.mark.parametrize("speed", [0.8, 1.2])
def test_the_pitch_moves_and_the_level_stays(speed: float) -> None:
    waveform, frames = played(tone(500.0), speed, 10, 50, MEL)
    assert waveform.shape == (50 * HOP,)
    assert frames.shape == (80, 50)
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(waveform.size)))
    hz = spectrum.argmax() * MEL.sample_rate / waveform.size
    assert hz == pytest.approx(500 * speed, abs=2)
    assert waveform[HOP:-HOP].std() == pytest.approx(8000 / 2**15 / 2**0.5, rel=0.01)


@pytest.mark.parametrize("speed", [0.8, 1.2])
def test_a_recording_ends_earlier_at_a_higher_speed(speed: float) -> None:
    recording = tone(300.0)
    waveform, frames = played(recording, speed, 0, 1000, MEL)
    assert waveform.size == frames.shape[1] * HOP
    assert frames.shape[1] == int(recording.size / speed / HOP)
    assert played(recording[:HOP], 1.9, 0, 5, MEL)[1].shape == (80, 1)


@pytest.mark.parametrize("speed", [0.85, 1.15])
def test_a_piece_is_that_of_the_whole_played_utterance(prepared: Manifest, speed: float) -> None:
    utterances = UtteranceSet(prepared, "train")
    recording = np.load(prepared.waveform_path(utterances.utterances[0].name))
    frames = played(recording, speed, 0, 10_000, MEL)[1]
    beside = MEL.frames_beside
    for start in (0, beside, 20, frames.shape[1] - 6):
        waveform, features = utterances.cut(0, start, 6, 2, speed)
        wanted = np.arange(start - 2, start + 8).clip(0, frames.shape[1] - 1)
        # Pieces begin at whole samples of the recording: up to half a sample apart.
        assert np.abs(features.numpy() - frames[:, wanted]).mean() < 0.05
        assert waveform.shape == (1, 6 * HOP)
        own = log_mel(waveform[None], MEL)[0, :, 2:-2]
        torch.testing.assert_close(features[:, 4:-4], own, rtol=0, atol=1e-3)


def test_a_short_utterance_is_followed_by_silence(prepared: Manifest) -> None:
    utterances = UtteranceSet(prepared, "train")
    total = utterances.utterances[0].num_frames
    waveform, features = utterances.cut(0, 0, total, 2, 1.25)
    left = int(total / 1.25)
    assert (waveform[:, left * HOP :] == 0).all()
    assert (features[:, 2 + left :] == MEL.lowest).all()
    assert (features[:, 2 : left - 2].amax(0) > MEL.lowest).all()


def test_seed_and_step_determine_the_batch_and_speeds_change_it(prepared: Manifest) -> None:
    def batch(change: float, **options: int) -> torch.Tensor:
        settings = {"batch_size": 6, "segment_frames": 12, "margin_frames": 2} | options
        sampler = SegmentSampler(prepared, seed=7, speed_change=change, **settings)
        return sampler.batch(3).log_mel

    assert batch(0.2).shape == (6, 80, 16)
    assert torch.equal(batch(0.2), batch(0.2))
    assert not torch.equal(batch(0.2), batch(0.0))
    halves = [batch(0.2, part=part, num_parts=2) for part in (0, 1)]
    assert torch.equal(torch.cat(halves), batch(0.2))


def test_a_third_of_the_speeds_is_one_and_no_draw_is_made_without_change() -> None:
    rng = np.random.default_rng(0)
    speeds = np.array(draw_speeds(rng, 3000, 0.25))
    assert np.mean(speeds == 1) == pytest.approx(1 / 3, abs=0.03)
    assert 1 / 1.25 <= speeds.min() < 0.81
    assert 1.24 < speeds.max() <= 1.25
    changed = speeds[speeds != 1]
    assert np.abs(np.log(changed)).min() >= np.log(1.25) / 3 - 1e-9
    assert np.mean(changed > 1) == pytest.approx(0.5, abs=0.04)
    before = rng.bit_generator.state
    assert draw_speeds(rng, 5, 0.0) == [1.0] * 5
    assert rng.bit_generator.state == before


def test_features_that_do_not_fit_another_speed_are_refused(prepared: Manifest) -> None:
    settings = {"batch_size": 2, "segment_frames": 4, "speed_change": 0.1}
    contents = dataclasses.replace(prepared.contents, mels=MelSource(kind="files"))
    given = Manifest(Path(prepared.dump_dir), contents)
    for manifest, options in ((given, {}), (prepared, {"speakers": ["clip"]})):
        with pytest.raises(ValueError, match=r"speed_change is 0\.1, expected 0 with rows of"):
            SegmentSampler(manifest, **settings, **options)  # type: ignore[arg-type]
    with_pitch = dataclasses.replace(prepared.contents, pitch=PitchConfig(kind="yin"))
    with pytest.raises(ValueError, match=r"speed_change is 0\.1"):
        SegmentSampler(
            Manifest(Path(prepared.dump_dir), with_pitch),
            **settings,  # type: ignore[arg-type]
            pitch=PitchConfig(kind="yin"),
        )
