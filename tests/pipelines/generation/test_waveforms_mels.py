"""Generation from the log-mels of other programs: files, layouts, conventions and times."""

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import torch

from data import Manifest, MelFormat, MelLayout, log_mel, read_waveform
from data.corpora.synthetic import speech_like
from pipelines.cli import main
from pipelines.generation.input_errors import InputError
from pipelines.generation.waveforms import generate
from pipelines.workspace import load_model, mel_of, statistics_of

Floats = npt.NDArray[np.float32]
FRAMES_FIRST: MelLayout = "frames_first"


@pytest.fixture(scope="module")
def frames(trained: Path) -> Floats:
    """The model's log-mel of speech, shape (80, 40)."""
    waveform = speech_like(40 * 256, 16000, np.random.default_rng(0))
    mel = mel_of(load_model(trained / "student"), trained)
    return log_mel(torch.from_numpy(waveform)[None, None], mel)[0].float().numpy()


def drawn(model: Path, file: Path, out: Path, **options: object) -> Floats:
    (item,) = generate(model, file, out, device="cpu", **options)  # type: ignore[arg-type]
    if item.path.suffix == ".raw":
        return np.fromfile(item.path, "<i2").astype(np.float32) / 32768
    return soundfile.read(item.path, dtype="float32")[0]


@pytest.mark.parametrize("kind", ["student", "teacher"])
def test_speech_from_frames_half_a_hop_early_is_on_time(
    trained: Path, tmp_path: Path, frames: Floats, kind: str
) -> None:
    np.save(tmp_path / "a.npy", frames[:, :6])
    model, file = trained / kind, tmp_path / "a.npy"
    late = drawn(model, file, tmp_path / "late", equalise=False)
    centred = MelFormat(convention="tacotron2")
    assert len(late) == 6 * 256
    for stream in (False, True):
        on_time = drawn(
            model, file, tmp_path / f"{stream}", mels=centred, equalise=False, stream=stream
        )
        assert len(on_time) == 5 * 256
        np.testing.assert_allclose(on_time, late[128:-128], atol=2 / 32768)
    short = drawn(
        model, file, tmp_path / "cut", mels=centred, equalise=False, max_seconds=3 * 256 / 16000
    )
    np.testing.assert_array_equal(short[:256], on_time[:256])
    assert len(short) == 3 * 256


def test_the_convention_is_of_log_mels_not_of_recordings(trained: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", speech_like(4096, 16000, np.random.default_rng(0)), 16000)
    model, file = trained / "student", tmp_path / "a.wav"
    samples = [
        drawn(model, file, tmp_path / f"{i}", mels=MelFormat(convention=convention))
        for i, convention in enumerate((None, "espnet"))
    ]
    np.testing.assert_array_equal(*samples)


def test_every_format_gives_the_same_speech(trained: Path, tmp_path: Path, frames: Floats) -> None:
    for folder in ("npy", "npz", "pt"):
        (tmp_path / folder).mkdir()
    np.save(tmp_path / "npy/a.npy", frames.T.astype(np.float64))
    np.savez(tmp_path / "npz/a.npz", mel=frames[None], durations=np.zeros(3))
    torch.save({"mel": torch.from_numpy(frames / math.log(10))}, tmp_path / "pt/a.pt")
    formats = {
        "npy/a.npy": MelFormat(layout=FRAMES_FIRST),
        "npz/a.npz": MelFormat(key="mel"),
        "pt/a.pt": MelFormat(convention="log10"),
    }
    model = trained / "student"
    samples = [
        # Without noise: the noise depends on the name, suffix included.
        drawn(model, tmp_path / name, tmp_path / "out" / name, mels=mels, temperature=0.0)
        for name, mels in formats.items()
    ]
    np.testing.assert_array_equal(samples[0], samples[1])
    np.testing.assert_allclose(samples[0], samples[2], atol=2 / 32768)


def test_half_precision_is_read(trained: Path, tmp_path: Path, frames: Floats) -> None:
    np.save(tmp_path / "a.npy", frames)
    exact = drawn(trained / "student", tmp_path / "a.npy", tmp_path / "single")
    np.save(tmp_path / "a.npy", frames.astype(np.float16))
    half = drawn(trained / "student", tmp_path / "a.npy", tmp_path / "half")
    assert 0 < np.abs(half - exact).max() < 0.1 * np.abs(exact).max()


def test_values_of_another_convention_are_an_error_not_noise(
    trained: Path, tmp_path: Path, frames: Floats, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "a.npy", (20 / math.log(10) * frames).T)
    words = ["generate", "--model", str(trained / "student"), "--input", str(tmp_path / "a.npy")]
    words += ["--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main(words) == 2
    assert "say mel_layout frames_first" in capsys.readouterr().err
    words += ["--mel_layout", "frames_first"]
    assert main(words) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "a.npy: holds values from" in error
    assert "they look like db" in error
    assert error.endswith("give mel_convention, model if they are the model's own")
    assert not (tmp_path / "out").exists()
    assert main([*words, "--mel_convention", "model"]) == 2  # no waveform has such values
    assert main([*words, "--mel_convention", "db"]) == 0
    assert len(read_waveform(tmp_path / "out/a.wav", 16000)) == 39 * 256


def test_what_looks_wrong_but_is_possible_can_be_insisted_on(
    trained: Path, tmp_path: Path, frames: Floats
) -> None:
    np.save(tmp_path / "a.npy", frames / math.log(10))
    model, file = trained / "student", tmp_path / "a.npy"
    with pytest.raises(InputError, match="they look like log10 or espnet; give mel_convention"):
        generate(model, file, tmp_path / "out", device="cpu")
    drawn(model, file, tmp_path / "out", mels=MelFormat(convention="model"))


def test_one_frame_half_a_hop_early_is_too_few(
    trained: Path, tmp_path: Path, frames: Floats
) -> None:
    np.save(tmp_path / "a.npy", frames[:, :1] / math.log(10))
    mels = MelFormat(convention="espnet")
    with pytest.raises(InputError, match="has 1 frame, expected at least 2 of convention espnet"):
        generate(trained / "student", tmp_path / "a.npy", tmp_path / "out", device="cpu", mels=mels)


def test_the_statistics_are_those_of_the_training_corpus(trained: Path, dump: Path) -> None:
    found = Manifest.load(dump).statistics
    for kind in ("student", "teacher"):
        statistics = statistics_of(load_model(trained / kind))
        assert statistics is not None
        np.testing.assert_allclose(statistics.mean[:, 0], found.mel_mean, rtol=1e-5)
        np.testing.assert_allclose(statistics.std[:, 0], found.mel_std, rtol=1e-5)
