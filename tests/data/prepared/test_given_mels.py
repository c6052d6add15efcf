"""Preparing recordings with log-mels beside them: alignment, checks, and what is done again."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import librosa
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import torch

from data import DataError, Manifest, MelConfig, MelSource, PitchConfig, UtteranceSet, log_mel
from data.audio.read import from_int16, read_waveform
from tests.data.conftest import CONFIG, run

MEL = MelConfig()
GIVEN = replace(CONFIG, mels=MelSource(kind="files"))
CENTRED = replace(CONFIG, mels=MelSource(kind="files", convention="tacotron2"))
Floats = npt.NDArray[np.float32]


def own_frames(waveform: Floats) -> Floats:
    return log_mel(torch.from_numpy(waveform)[None, None], MEL)[0].numpy()


def centred_frames(waveform: Floats) -> Floats:
    """NVIDIA's: frame l is centred on sample 256 l."""
    mel = librosa.feature.melspectrogram(
        y=waveform, sr=16000, n_fft=1024, hop_length=256, n_mels=80, power=1.0, pad_mode="reflect"
    )
    return np.log(np.maximum(mel, 1e-5))


def predicted(frames: Floats, seed: int = 0) -> Floats:
    """Blur frames over time, and add errors, as an acoustic model would."""
    rng = np.random.default_rng(seed)
    padded = np.pad(frames, ((0, 0), (1, 1)), mode="edge")
    blurred = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    return (blurred + 0.2 * rng.standard_normal(frames.shape)).astype(np.float32)


@pytest.fixture
def pairs(corpus: Path) -> Path:
    """The corpus with predicted log-mels in the model's convention."""
    for path in corpus.rglob("*.wav"):
        np.save(path.with_suffix(".npy"), predicted(own_frames(read_waveform(path, 16000))))
    return corpus


def reasons(manifest: Manifest) -> dict[str, str]:
    return {skip.name: skip.reason for skip in manifest.skipped}


def test_the_models_read_the_given_log_mel(pairs: Path) -> None:
    manifest = run(pairs, GIVEN)
    assert len(manifest.utterances()) == 5
    utterances = UtteranceSet(manifest, "train")
    waveform, frames = utterances.load(0)
    name = utterances.utterances[0].name
    np.testing.assert_array_equal(frames.numpy(), np.load(pairs / f"{name}.npy"))
    recording, _ = soundfile.read(pairs / f"{name}.wav", dtype="float32")
    np.testing.assert_array_equal(waveform[0].numpy(), recording[: waveform.shape[1]])
    train = [u.name for u in manifest.utterances("train")]
    given = np.concatenate([np.load(pairs / f"{n}.npy") for n in train], 1)
    np.testing.assert_allclose(manifest.statistics.mel_mean, given.mean(1, dtype=float), atol=1e-6)
    assert "log-mels: of the files beside the recordings, in the model's" in manifest.report()
    assert Manifest.load(manifest.dump_dir).contents.mels == GIVEN.mels


def test_frames_that_come_early_get_a_recording_that_begins_late(corpus: Path) -> None:
    for path in corpus.rglob("*.wav"):
        frames = centred_frames(read_waveform(path, 16000))
        np.savez(path.with_suffix(".npz"), feats=(predicted(frames).T)[None])
    source = MelSource(kind="files", convention="tacotron2", layout="frames_first")
    manifest = run(corpus, replace(CONFIG, mels=source))
    assert Manifest.load(manifest.dump_dir).contents.mels == source
    recording, _ = soundfile.read(corpus / "clip_000.wav", dtype="float32")
    samples = from_int16(np.load(manifest.waveform_path("clip_000")))
    num_frames = len(recording) // 256 + 1
    assert len(samples) == num_frames * 256
    assert not samples[:128].any()
    np.testing.assert_array_equal(samples[128:][: len(recording)], recording[: len(samples) - 128])
    # The frames are at the times of the model's frames of those samples.
    stored = np.load(manifest.mel_path("clip_000"))
    exact = centred_frames(recording)[:, 3:-3]
    assert np.abs(own_frames(samples)[:, 3:-3] - exact).mean() < 1e-3
    assert np.abs(stored[:, 3:-3] - exact).mean() < 0.35
    expected = predicted(centred_frames(recording)).clip(math.log(1e-5))
    np.testing.assert_allclose(stored, expected, atol=1e-6)


def test_a_convention_is_converted(corpus: Path) -> None:
    for path in corpus.rglob("*.wav"):
        frames = predicted(own_frames(read_waveform(path, 16000)))
        torch.save(torch.from_numpy(frames / math.log(10)).double(), path.with_suffix(".pt"))
    manifest = run(corpus, replace(CONFIG, mels=MelSource(kind="files", convention="log10")))
    stored = np.load(manifest.mel_path("clip_000"))
    expected = predicted(own_frames(read_waveform(corpus / "clip_000.wav", 16000)))
    np.testing.assert_allclose(stored, expected.clip(math.log(1e-5)), atol=1e-5)


def test_bands_of_other_edges_become_the_models(corpus: Path) -> None:
    narrow = replace(MEL, fmin_hz=80.0, fmax_hz=7600.0)
    for path in corpus.rglob("*.wav"):
        waveform = torch.from_numpy(read_waveform(path, 16000))[None, None]
        np.save(path.with_suffix(".npy"), log_mel(waveform, narrow)[0].numpy())
    source = MelSource(kind="files", fmin_hz=80.0, fmax_hz=7600.0)
    stored = np.load(run(corpus, replace(CONFIG, mels=source)).mel_path("clip_000"))
    own = own_frames(read_waveform(corpus / "clip_000.wav", 16000))
    as_they_are = np.load(corpus / "clip_000.npy")
    assert np.abs(stored - own).mean() < np.abs(as_they_are - own).mean() / 2


def test_pitch_is_measured_beside_the_given_log_mel(pairs: Path) -> None:
    manifest = run(pairs, replace(GIVEN, pitch=PitchConfig(kind="yin")))
    stored = np.load(manifest.mel_path("clip_000"))
    assert stored.shape[0] == 82
    np.testing.assert_array_equal(stored[:80], np.load(pairs / "clip_000.npy"))
    assert stored[81].any()


def test_every_log_mel_that_does_not_fit_is_skipped_with_its_reason(pairs: Path) -> None:
    load = {n: np.load(pairs / f"{n}.npy") for n in ("clip_000", "clip_001", "clip_002")}
    (pairs / "clip_000.npy").unlink()
    np.save(pairs / "clip_001.npy", load["clip_001"][:, :-3])
    np.save(pairs / "clip_002.npy", load["clip_002"] * np.nan)
    for i in range(3):  # enough that stay
        for suffix in (".wav", ".npy"):
            old = pairs / f"digits/clip_000{suffix}"
            (pairs / f"more_{i}{suffix}").write_bytes(old.read_bytes())
    found = reasons(run(pairs, GIVEN))
    assert found == {
        "clip_000.wav": "clip_000.wav log-mels beside it: none; expected one file clip_000 .npy, "
        ".npz, .pt",
        "clip_001.wav": "clip_001.npy has 28 frames, expected 31 for 8000 samples and a hop of 256",
        "clip_002.wav": "clip_002.npy holds values that are not finite",
    }


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda frames: frames / math.log(10), r"in the model's convention, .* convention log10"),
        (lambda frames: frames * 20 / math.log(10), r"in the model's convention, .* convention db"),
        (lambda frames: np.roll(frames, 2, 1), r"is 2 frames late: .* with the frames moved"),
        (lambda frames: np.roll(frames, -1, 1), r"is 1 frames early"),
        (lambda frames: frames[::-1], r"expected at most 1\.2: is it of this recording\?"),
    ],
)
def test_what_does_not_follow_its_recording_is_refused(
    pairs: Path, spoil: object, message: str
) -> None:
    for path in pairs.rglob("*.npy"):
        np.save(path, spoil(np.load(path)))  # type: ignore[operator]
    with pytest.raises(DataError, match=message):
        run(pairs, GIVEN)


def test_frames_half_a_hop_early_are_noticed(corpus: Path) -> None:
    for path in corpus.rglob("*.wav"):
        np.save(path.with_suffix(".npy"), predicted(centred_frames(read_waveform(path, 16000))))
    with pytest.raises(DataError, match=r"in the model's convention, .* in convention tacotron2"):
        run(corpus, GIVEN)
    assert len(run(corpus, CENTRED).utterances()) == 5


def test_frames_taken_for_half_a_hop_early_are_noticed(pairs: Path) -> None:
    with pytest.raises(DataError, match=r"in convention tacotron2, .* in convention hifigan"):
        run(pairs, CENTRED)


def test_a_changed_log_mel_is_prepared_again(pairs: Path) -> None:
    first = run(pairs, GIVEN)
    digests = {u.name: u.mel_sha256 for u in first.utterances()}
    frames = np.load(pairs / "clip_001.npy")
    np.save(pairs / "clip_001.npy", frames + 0.01)
    second = run(pairs, GIVEN)
    changed = [u.name for u in second.utterances() if u.mel_sha256 != digests[u.name]]
    assert changed == ["clip_001"]
    assert first.contents.checksum != second.contents.checksum
    # And back: what is prepared follows the settings.
    own = np.load(run(pairs).mel_path("clip_001"))
    whole = read_waveform(pairs / "clip_001.wav", 16000)[: 31 * 256]
    np.testing.assert_array_equal(own, own_frames(whole))
