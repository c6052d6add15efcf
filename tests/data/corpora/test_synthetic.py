"""The synthetic corpus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data import read_waveform, split_of, synthesise
from data.corpora.synthetic import _wander


def test_same_seed_gives_the_same_files_however_many(tmp_path: Path) -> None:
    few = synthesise(tmp_path / "few", num_utterances=1, seconds=0.3, seed=3)
    many = synthesise(tmp_path / "many", num_utterances=2, seconds=0.3, seed=3)
    assert few[0].read_bytes() == many[0].read_bytes()


def test_seeds_and_utterances_differ(tmp_path: Path) -> None:
    a, b = synthesise(tmp_path / "a", num_utterances=2, seconds=0.3, seed=0)
    (c,) = synthesise(tmp_path / "c", num_utterances=1, seconds=0.3, seed=1)
    assert len({path.read_bytes() for path in (a, b, c)}) == 3


@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050])
def test_length_and_level(tmp_path: Path, sample_rate: int) -> None:
    (path,) = synthesise(tmp_path, num_utterances=1, seconds=0.7, sample_rate=sample_rate)
    waveform = read_waveform(path, sample_rate)
    assert len(waveform) == round(0.7 * sample_rate)
    assert np.abs(waveform).max() == pytest.approx(0.5, abs=1e-4)


def test_sounds_are_predictable_as_speech_is(tmp_path: Path) -> None:
    (path,) = synthesise(tmp_path, num_utterances=1)
    x = read_waveform(path, 16000)
    history = np.stack([x[24 - k : -k] for k in range(1, 25)], axis=1)
    residual = x[24:] - history @ np.linalg.lstsq(history, x[24:], rcond=None)[0]
    assert residual.std() < 0.5 * x.std()


def test_default_names_fill_every_split() -> None:
    assert {split_of(f"clip_{i:03d}") for i in range(12)} == {"train", "val", "test"}


def test_pitch_and_formants_move_without_a_jump() -> None:
    points, knots = 1000, 5
    curve = _wander(points, knots, 90.0, 180.0, np.random.default_rng(0))
    assert curve.min() >= 90
    assert curve.max() <= 180
    steepest = (180 - 90) * np.pi / 2 * (knots + 1) / points  # of half a cosine between two knots
    assert np.abs(np.diff(curve)).max() <= 1.01 * steepest
