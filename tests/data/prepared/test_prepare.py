"""Preparing a corpus: its outputs, skipped files, and errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from data import DataError, Manifest, MelConfig, log_mel, synthesise
from storage.arrays import check_digest
from tests.data.conftest import CONFIG, add_bad_files, run


def test_outputs_have_the_promised_types_and_shapes(corpus: Path) -> None:
    manifest = run(corpus)
    assert [u.name for u in manifest.utterances()] == [
        *(f"clip_{i:03d}" for i in range(4)),
        "digits/clip_000",
    ]
    for utterance in manifest.utterances():
        samples = np.load(manifest.waveform_path(utterance.name))
        frames = np.load(manifest.mel_path(utterance.name))
        assert samples.dtype == np.int16
        assert samples.shape == (utterance.num_frames * 256,)
        assert frames.dtype == np.float32
        assert frames.shape == (80, utterance.num_frames)


def test_samples_equal_the_sources(corpus: Path) -> None:
    manifest = run(corpus)
    source, _ = soundfile.read(corpus / "digits/clip_000.wav", dtype="int16")
    samples = np.load(manifest.waveform_path("digits/clip_000"))
    np.testing.assert_array_equal(samples, source[: len(samples)])
    assert len(source) - len(samples) < 256


def test_mel_is_computed_from_the_stored_samples(corpus: Path) -> None:
    # Resampled, so that rounding to 16 bits makes a difference.
    manifest = run(corpus, replace(CONFIG, mel=MelConfig(sample_rate=22050)))
    samples = np.load(manifest.waveform_path("clip_000")).astype(np.float32) / 32768
    expected = log_mel(torch.from_numpy(samples)[None, None], manifest.mel)[0]
    np.testing.assert_array_equal(np.load(manifest.mel_path("clip_000")), expected.numpy())


def test_statistics_are_of_the_training_split(corpus: Path) -> None:
    manifest = run(corpus)
    names = [utterance.name for utterance in manifest.utterances("train")]
    samples = np.concatenate([np.load(manifest.waveform_path(n)) for n in names]) / 32768
    frames = np.concatenate([np.load(manifest.mel_path(n)) for n in names], axis=1)
    statistics = manifest.statistics
    assert 0 < len(names) < 5
    assert statistics.waveform_std == pytest.approx(samples.std(), rel=1e-6)
    np.testing.assert_allclose(statistics.mel_mean, frames.mean(1, dtype=float), atol=1e-6)
    np.testing.assert_allclose(statistics.mel_std, frames.std(1, dtype=float), atol=1e-6)


def test_loaded_manifest_equals_the_returned_one(corpus: Path) -> None:
    manifest = run(corpus)
    assert Manifest.load(manifest.dump_dir) == manifest
    assert manifest.minutes() == pytest.approx((4 * 31 + 37) * 256 / 16000 / 60)


def test_bad_files_are_skipped_and_reported(corpus: Path) -> None:
    expected = add_bad_files(corpus)
    manifest = run(corpus)
    assert {skip.name for skip in manifest.skipped} == set(expected)
    assert all(expected[skip.name] in skip.reason for skip in manifest.skipped)
    report = (manifest.dump_dir / "report.txt").read_text()
    assert all(f"  {name}: " in report for name in expected)
    assert len(manifest.utterances()) == 5


def test_clipping_is_counted_and_reported(corpus: Path) -> None:
    loud = np.full(8000, 0.1)
    loud[1000:1010] = 1.5
    soundfile.write(corpus / "loud.wav", loud, 16000, subtype="FLOAT")
    manifest = run(corpus)
    assert {u.name: u.num_clipped for u in manifest.utterances()}["loud"] == 10
    assert "loud: 10 samples" in manifest.report()


def test_digests_match_the_files(corpus: Path) -> None:
    manifest = run(corpus)
    for utterance in manifest.utterances():
        check_digest(manifest.waveform_path(utterance.name), utterance.waveform_sha256)
        check_digest(manifest.mel_path(utterance.name), utterance.mel_sha256)


def test_corpus_with_nothing_usable_is_refused(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/a.wav").touch()
    with pytest.raises(DataError, match=r"no usable audio in .*1 skipped, as a.wav: empty file"):
        run(tmp_path / "corpus")


def test_a_run_that_can_use_nothing_leaves_the_manifest(corpus: Path) -> None:
    manifest = run(corpus)
    with pytest.raises(DataError, match="no usable audio"):
        run(corpus, replace(CONFIG, min_seconds=1000.0))
    assert Manifest.load(corpus.parent / "dump") == manifest
    for utterance in manifest.utterances():
        check_digest(manifest.mel_path(utterance.name), utterance.mel_sha256)
    assert run(corpus) == manifest


def test_folder_without_audio_is_refused(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    with pytest.raises(DataError, match="no usable audio in"):
        run(tmp_path / "corpus")


def test_corpus_too_small_to_split_is_refused(tmp_path: Path) -> None:
    synthesise(tmp_path / "corpus", num_utterances=2, seconds=0.4)
    with pytest.raises(DataError, match="2 utterances, expected at least 3"):
        run(tmp_path / "corpus")


def test_unwritable_dump_folder_is_reported(corpus: Path) -> None:
    (corpus.parent / "dump").write_text("a file in the way")
    with pytest.raises(DataError, match="dump"):
        run(corpus)


@pytest.mark.parametrize(
    ("field", "value"), [("min_seconds", -1.0), ("num_workers", -1), ("val_percent", 0.0)]
)
def test_impossible_setting_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value!r}, expected"):
        replace(CONFIG, **{field: value})  # type: ignore[arg-type]


def test_other_rate_is_resampled(corpus: Path) -> None:
    mel = MelConfig(sample_rate=22050)
    manifest = run(corpus, replace(CONFIG, mel=mel))
    assert manifest.utterances()[0].num_frames == round(0.5 * 22050) // 256
