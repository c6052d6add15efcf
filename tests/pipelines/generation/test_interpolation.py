"""Interpolation between two recordings by either model."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from data import read_waveform, synthesise, write_waveform
from data.audio.outputs import is_output
from pipelines.cli import main
from pipelines.generation.interpolation import interpolate


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("recordings")
    synthesise(folder, num_utterances=2, seconds=0.4)
    return sorted(folder.glob("*.wav"))


@pytest.mark.parametrize("kind", ["teacher", "student"])
@pytest.mark.parametrize("path", ["linear", "spherical"])
def test_the_path_starts_and_ends_at_the_recordings(
    trained: Path, recordings: list[Path], tmp_path: Path, kind: str, path: str
) -> None:
    words = ["interpolate", "--model", str(trained / kind), "--out", str(tmp_path)]
    words += ["--first", str(recordings[0]), "--second", str(recordings[1]), "--path", path]
    assert main([*words, "--num_steps=3", "--max_seconds=0.07", "--device=cpu"]) == 0
    files = sorted(tmp_path.glob("*.wav"))
    assert [file.name for file in files] == ["00.wav", "01.wav", "02.wav"]
    assert is_output(tmp_path)
    for file, recording in zip((files[0], files[2]), recordings, strict=True):
        samples, rate = soundfile.read(file)
        assert rate == 16000
        assert len(samples) == 1024  # whole frames of 256
        np.testing.assert_allclose(samples, read_waveform(recording, 16000)[:1024], atol=1e-4)
    middle = soundfile.read(files[1])[0]
    assert np.isfinite(middle).all()
    assert middle.std() > 0


def test_recordings_shorter_than_a_frame_are_refused(
    trained: Path, recordings: list[Path], tmp_path: Path
) -> None:
    short = tmp_path / "short.wav"
    write_waveform(short, read_waveform(recordings[0], 16000)[2000:2100], 16000)
    with pytest.raises(ValueError, match=r"short\.wav: 100 samples in common, expected .* 256"):
        interpolate(trained / "student", recordings[0], short, tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()
