"""Pieces of a recording join to the whole, whatever their length."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from data import MelConfig, log_mel, synthesise
from data.corpora.synthetic import speech_like
from pipelines.generation import inputs
from pipelines.generation.input_errors import InputError
from pipelines.generation.long_audio import log_mel_in_pieces
from pipelines.generation.waveforms import generate
from storage.folder_lock import FolderInUseError, folder_lock
from student import Student


@pytest.mark.parametrize("num_samples", [256 * 40, 256 * 40 + 100, 5000, 300])
@pytest.mark.parametrize("frames_per_piece", [1, 7, 39, 40, 100])
def test_pieces_of_a_log_mel_are_the_whole(num_samples: int, frames_per_piece: int) -> None:
    waveform = speech_like(num_samples, 16000, np.random.default_rng(0)).astype(np.float32)
    expected = log_mel(torch.from_numpy(waveform)[None, None], MelConfig())[0].numpy()
    found = log_mel_in_pieces(waveform, MelConfig(), frames_per_piece=frames_per_piece)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_recording_longer_than_a_piece_is_generated_the_same(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source,) = synthesise(tmp_path, num_utterances=1, seconds=1.0)
    results = []
    for frames_per_piece in (1024, 10):
        monkeypatch.setattr(inputs, "FRAMES_PER_PIECE", frames_per_piece)
        (item,) = generate(trained / "student", source, tmp_path / "out", device="cpu")
        results.append(soundfile.read(item.path, dtype="int16")[0].astype(int))
    assert len(results[0]) == 63 * 256
    assert np.abs(results[0] - results[1]).max() <= 1


@pytest.mark.parametrize("seconds", [0.01, 0.001, 0.016])
@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_a_clip_of_ten_milliseconds_works(
    trained: Path, tmp_path: Path, seconds: float, kind: str
) -> None:
    samples = 0.1 * np.sin(np.arange(round(seconds * 16000)))
    soundfile.write(tmp_path / "a.wav", samples, 16000)
    (item,) = generate(trained / kind, tmp_path / "a.wav", tmp_path / "out", device="cpu")
    assert soundfile.info(item.path).frames == 256


@pytest.mark.parametrize("temperature", [-1.0, float("nan"), float("inf")])
def test_an_impossible_temperature_is_refused(
    trained: Path, tmp_path: Path, temperature: float
) -> None:
    (source,) = synthesise(tmp_path, num_utterances=1, seconds=0.1)
    with pytest.raises(InputError, match=f"temperature is {temperature}"):
        generate(trained / "student", source, tmp_path / "out", temperature=temperature)
    assert not (tmp_path / "out").exists()


def test_a_second_run_into_the_folder_is_refused(trained: Path, tmp_path: Path) -> None:
    (source,) = synthesise(tmp_path, num_utterances=1, seconds=0.1)
    with (
        folder_lock(tmp_path / "out"),
        pytest.raises(FolderInUseError, match="out: in use by another run"),
    ):
        generate(trained / "student", source, tmp_path / "out", device="cpu")


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_a_stream_to_standard_output_is_the_file_and_nothing_else(
    trained: Path, tmp_path: Path, kind: str
) -> None:
    (source,) = synthesise(tmp_path, num_utterances=1, seconds=0.4)
    options = {"device": "cpu", "max_seconds": 0.3, "temperature": 3000.0}
    (item,) = generate(trained / kind, source, tmp_path / "out", **options)
    assert item.num_clipped  # so that there is a warning, too
    words = [sys.executable, "-m", "pipelines.cli", "generate", "--model", str(trained / kind)]
    words += ["--input", str(source), "--out", "-", "--max_seconds", "0.3", "--temperature", "3000"]
    run = subprocess.run([*words, "--device", "cpu"], capture_output=True, check=True)
    expected = soundfile.read(item.path, dtype="int16")[0].astype(int)
    found = np.frombuffer(run.stdout, "<i2").astype(int)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1
    assert b"samples were clipped" in run.stderr


def test_a_stream_can_be_read_while_it_grows(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source,) = synthesise(tmp_path, num_utterances=1, seconds=1.0)
    target = tmp_path / "out" / source.with_suffix(".raw").name
    sizes = []
    draw = Student.stream

    def watched(*arguments: Any) -> Iterator[torch.Tensor]:
        for piece in draw(*arguments):
            sizes.append(target.stat().st_size if target.exists() else 0)
            yield piece

    monkeypatch.setattr(Student, "stream", watched)
    (item,) = generate(trained / "student", source, tmp_path / "out", device="cpu", stream=True)
    assert item.path == target
    assert target.stat().st_size == 2 * 63 * 256
    assert sizes == sorted(sizes)
    assert len(set(sizes)) > 5


def test_a_folder_does_not_go_to_standard_output(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one input goes to standard output"):
        generate(trained / "student", tmp_path, Path("-"), device="cpu")
