"""Measures of the extra `eval`, on sounds with known values."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from data.corpora.synthetic import speech_like
from pipelines.cli import main
from pipelines.evaluation.distances import pitch_errors
from pipelines.evaluation.measure import MEASURES
from pipelines.evaluation.packages import (
    DistillMos,
    dnsmos,
    estoi,
    missing_packages,
    pesq_wb,
    pitch_track,
    world_resynthesis,
)
from pipelines.evaluation.recogniser import Recogniser, edit_distance
from tests.speech import speech as recorded_speech

RATE = 16000
Array = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def speech() -> Array:
    return speech_like(3 * RATE, RATE, np.random.default_rng(0))


def with_noise(waveform: Array, snr_db: float) -> Array:
    noise = np.random.default_rng(1).standard_normal(len(waveform))
    return waveform + noise * waveform.std() * 10 ** (-snr_db / 20)


def pulses(f0_hz: float, seconds: float = 1.0) -> Array:
    phase = np.arange(int(seconds * RATE)) * f0_hz / RATE
    train = np.diff(np.floor(phase), prepend=0.0)
    return np.convolve(train, np.hanning(16))[: len(phase)] * 0.3


def test_nothing_is_missing() -> None:
    assert missing_packages() == []


@pytest.mark.parametrize(("measure", "best"), [(pesq_wb, 4.644), (estoi, 1.0)])
def test_copies_are_perfect_and_noise_costs(
    measure: Callable[[Array, Array, int], float | None], best: float, speech: Array
) -> None:
    scores = [measure(with_noise(speech, snr), speech, RATE) for snr in (np.inf, 30, 10, -5)]
    assert scores[0] == pytest.approx(best, abs=0.01)
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1] + 0.2


def test_other_rates_are_resampled(speech: Array) -> None:
    assert pesq_wb(speech, speech, 22050) == pytest.approx(4.644, abs=0.01)
    assert estoi(speech, speech, 22050) == pytest.approx(1.0)


def test_what_is_too_short_or_silent_has_no_score(speech: Array) -> None:
    short = speech[: RATE // 10]
    assert pesq_wb(short, short, RATE) is None
    assert estoi(short, short, RATE) is None
    assert estoi(speech[:304], speech[:304], RATE) is None  # no frame at all
    for pair in ((0 * speech, speech), (speech, 0 * speech)):
        assert estoi(*pair, RATE) is None
    assert pesq_wb(np.zeros(RATE), np.zeros(RATE), RATE) is None
    assert DistillMos().rate(short, RATE) is None


def test_distillmos_rates_a_clip_alike_at_every_level(speech: Array) -> None:
    mos = DistillMos()
    score = mos.rate(speech, RATE)
    assert score is not None
    assert 1 <= score <= 5
    assert mos.rate(0.25 * speech, RATE) == pytest.approx(score, abs=1e-3)
    assert mos.rate(np.random.default_rng(0).standard_normal(3 * RATE), RATE) < 2


def test_dnsmos_hears_noise_and_takes_any_length() -> None:
    recording = recorded_speech()[0, 0].numpy()
    scores = [dnsmos(with_noise(recording, snr), RATE) for snr in (np.inf, 10, -5)]
    assert all(score is not None and 1 <= score <= 5 for score in scores)
    assert scores == sorted(scores, key=lambda score: score or 0, reverse=True)
    assert dnsmos(recording[: RATE // 2], RATE) is None
    assert dnsmos(np.tile(recording, 5), RATE) == pytest.approx(scores[0], abs=0.3)


def test_words_are_understood_and_mistakes_counted() -> None:
    recording, other = (
        recorded_speech(name=name)[0, 0].numpy() for name in ("conf-getpin", "conf-onlyperson")
    )
    recogniser = Recogniser()
    heard = recogniser.words(recording, RATE)
    assert heard == ["please", "enter", "the", "conference", "pin", "number"]
    assert recogniser.mistakes(recording, recording, RATE) == (0, 6)
    assert recogniser.mistakes(with_noise(recording, 30), recording, RATE) == (0, 6)
    mistaken = recogniser.mistakes(other, recording, RATE)
    assert mistaken is not None
    assert mistaken[0] >= 5


def test_what_has_no_words_has_no_error_rate(speech: Array) -> None:
    recogniser = Recogniser()
    assert recogniser.mistakes(speech, speech, RATE) is None
    french = recorded_speech(corpus="fr")[0, 0].numpy()
    assert recogniser.mistakes(french, french, RATE) is None


def test_edits_of_words_are_counted() -> None:
    pairs = {("a b c", "a b c"): 0, ("a b c", ""): 3, ("", "a"): 1, ("a b", "b a b c"): 2}
    for (first, second), edits in pairs.items():
        assert edit_distance(first.split(), second.split()) == edits


@pytest.mark.parametrize("f0_hz", [90.0, 150.0, 260.0])
def test_pitch_is_found_and_noise_has_none(f0_hz: float) -> None:
    track = pitch_track(pulses(f0_hz), RATE)[10:-10]
    assert len(track) == pytest.approx(200, abs=25)
    np.testing.assert_allclose(track, f0_hz, rtol=0.01)
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    assert np.mean(pitch_track(noise, RATE) > 0) < 0.2


def test_a_semitone_is_a_hundred_cents() -> None:
    errors = pitch_errors(
        pitch_track(pulses(150 * 2 ** (1 / 12)), RATE), pitch_track(pulses(150), RATE)
    )
    assert errors["f0_rmse_cents"] == pytest.approx(100, abs=3)
    assert errors["f0_octave_errors"] == 0


def test_world_keeps_length_pitch_and_place(speech: Array) -> None:
    for waveform in (speech, speech[: RATE // 10], pulses(150)):
        again = world_resynthesis(waveform, RATE)
        assert again.shape == waveform.shape
        assert np.isfinite(again).all()
    tracks = [
        pitch_track(x, RATE)[20:-20] for x in (world_resynthesis(pulses(150), RATE), pulses(150))
    ]
    errors = pitch_errors(*tracks)
    assert errors["f0_rmse_cents"] is not None
    assert errors["f0_rmse_cents"] < 10


def test_the_command_fills_every_column(dump: Path, trained: Path, tmp_path: Path) -> None:
    words = ["evaluate", "--teacher", str(trained / "teacher"), "--dump", str(dump)]
    words += ["--student", str(trained / "student"), "--out", str(tmp_path), "--device", "cpu"]
    assert main(words) == 0
    result = json.loads((tmp_path / "evaluation.json").read_text())
    assert list(result["systems"]) == ["recording", "griffin-lim", "world", "teacher", "student"]
    assert result["left_out"]["packages"] == []
    measured = {key for means in result["systems"].values() for key in means}
    # Synthetic sounds have no words, and models of single samples no frames.
    absent = {"f0_octave_errors", "word_error_rate", "lines_db"}
    assert measured >= {measure.key for measure in MEASURES} - absent
    recording = result["systems"]["recording"]
    assert recording["pesq_wb"]["mean"] == pytest.approx(4.644, abs=0.01)
    assert recording["voicing_error"]["mean"] == 0
