"""Pitch in prepared features: stored below the log-mel, and read on request."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from data import (
    DataError,
    Manifest,
    MelConfig,
    PitchConfig,
    UtteranceSet,
    from_int16,
    log_mel,
    synthesise,
    with_pitch,
)
from data.prepared.recording import PrepareTask
from tests.data.conftest import CONFIG, run

MEL = MelConfig()
PITCH = PitchConfig(kind="yin")
WITH_PITCH = replace(CONFIG, pitch=PITCH)


def test_prepared_frames_have_the_rows_of_the_stored_samples(corpus: Path) -> None:
    plain = run(corpus)
    manifest = run(corpus, WITH_PITCH)
    assert Manifest.load(manifest.dump_dir) == manifest
    assert manifest.pitch == PITCH
    # Statistics stay those of the bands.
    assert manifest.statistics == plain.statistics
    name = manifest.utterances()[0].name
    frames = torch.from_numpy(np.load(manifest.mel_path(name)))
    exact = torch.from_numpy(from_int16(np.load(manifest.waveform_path(name))))[None, None]
    torch.testing.assert_close(frames, with_pitch(log_mel(exact, MEL), exact, MEL, PITCH)[0])
    assert 0 < float(frames[81].mean()) < 1
    # And back: the prepared files follow the settings.
    run(corpus)
    assert np.load(manifest.mel_path(name)).shape[0] == 80


def test_recordings_of_earlier_versions_are_not_prepared_again(corpus: Path) -> None:
    task = PrepareTask(
        name="clip_000",
        sources=(corpus / "clip_000.wav",),
        dump_dir=corpus.parent / "dump",
        mel=MEL,
        pitch=PitchConfig(fmin_hz=50.0),
        min_seconds=0.3,
    )
    settings = json.dumps([1, str(task.sources[0]), 0.3, asdict(MEL)])
    assert task.key().split()[1] == hashlib.sha256(settings.encode()).hexdigest()[:16]
    assert replace(task, pitch=PITCH).key() != task.key()


def test_utterances_have_pitch_rows_on_request(corpus: Path) -> None:
    manifest = run(corpus, WITH_PITCH)
    told, plain = (UtteranceSet(manifest, "train", pitch=p) for p in (PITCH, PitchConfig()))
    stored = torch.from_numpy(np.load(manifest.mel_path(told.utterances[0].name)))
    assert torch.equal(told.load(0)[1], stored)
    assert torch.equal(plain.load(0)[1], stored[:80])


def test_speakers_come_below_the_pitch(tmp_path: Path) -> None:
    synthesise(tmp_path / "corpus" / "ann", num_utterances=3, seconds=0.4)
    utterances = UtteranceSet(run(tmp_path / "corpus", WITH_PITCH), "train", ["ann", "bob"], PITCH)
    stored = np.load(utterances.manifest.mel_path(utterances.utterances[0].name))
    frames = utterances.load(0)[1]
    assert torch.equal(frames[:82], torch.from_numpy(stored))
    assert frames[82:].mean(1).tolist() == [1.0, 0.0]


def test_frames_beyond_the_end_are_unvoiced_and_keep_the_last_pitch(corpus: Path) -> None:
    utterances = UtteranceSet(run(corpus, WITH_PITCH), "train", pitch=PITCH)
    total = utterances.utterances[0].num_frames
    frames = utterances.cut(0, total - 3, 6, margin_frames=1)[1]
    whole = utterances.load(0)[1]
    assert torch.equal(frames[:, :4], whole[:, -4:])
    assert (frames[:80, 4:] == MEL.lowest).all()
    assert (frames[80, 4:] == whole[80, -1]).all()
    assert not frames[81, 4:].any()


def test_pitch_that_was_not_prepared_is_refused(corpus: Path) -> None:
    plain = run(corpus)
    with pytest.raises(
        DataError, match=r"dump: pitch\.kind is 'none', expected 'yin': run prepare again"
    ):
        UtteranceSet(plain, "train", pitch=PITCH)
    other = run(corpus, replace(WITH_PITCH, pitch=replace(PITCH, fmax_hz=300.0)))
    with pytest.raises(DataError, match=r"fmax_hz is 300\.0, expected 400\.0: run prepare again"):
        UtteranceSet(other, "train", pitch=PITCH)
