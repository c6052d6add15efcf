"""The models that come with the project: whole, described, and found by name."""

from pathlib import Path

import pytest
import torch

from flows import ArtefactError
from pipelines.models import FOLDER, model_folder, pretrained_names
from pipelines.workspace import load_model, mel_of
from student import Student
from teacher import Teacher

LARGEST_BYTES = 16 * 2**20


@pytest.mark.parametrize("name", pretrained_names())
def test_a_pretrained_model_is_small_described_and_speaks(name: str) -> None:
    folder = FOLDER / name
    assert (folder / "model.safetensors").stat().st_size <= LARGEST_BYTES
    card = (folder / "README.md").read_text()
    for heading in ("Use", "Data and licences", "Training", "Evaluation", "Limits"):
        assert f"\n## {heading}\n" in card
    model = load_model(Path(name))
    mel = mel_of(model, Path(name))
    frames = torch.full((1, mel.num_mels, 8), mel.silence)
    if isinstance(model, Student):
        waveform = model.sample(frames, generator=torch.Generator().manual_seed(0))
        assert waveform.shape == (1, 1, 8 * mel.hop_length)
        # A trained model draws silence from silence.
        assert float(waveform.std()) < 10 ** (-50 / 20)
    else:
        assert isinstance(model, Teacher)
        quiet = 1e-4 * torch.randn(1, 1, 8 * mel.hop_length)
        assert torch.isfinite(model.log_prob(quiet, frames)).all()


def test_the_models_of_the_readme_are_there() -> None:
    assert {"frame-16k", "teacher-16k"} <= set(pretrained_names())


def test_a_folder_with_a_model_is_preferred_to_a_pretrained_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert model_folder(Path("frame-16k")) == FOLDER / "frame-16k"
    (tmp_path / "frame-16k").mkdir()
    (tmp_path / "frame-16k" / "notes.txt").touch()
    assert model_folder(Path("frame-16k")) == FOLDER / "frame-16k"  # there is no model in it
    (tmp_path / "frame-16k" / "config.json").touch()
    assert model_folder(Path("frame-16k")) == Path("frame-16k")


def test_the_message_of_an_unknown_name_lists_the_known_names() -> None:
    with pytest.raises(ArtefactError, match=r"frame-17k: no such folder; .* are .*frame-16k"):
        model_folder(Path("frame-17k"))
