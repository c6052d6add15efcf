"""The models that come with the project: whole, described, and found by name."""

import sys
from pathlib import Path

import pytest
import torch
import yaml

from flows import ArtefactError
from flows.model_folder import SHIPPED, model_folder, pretrained_names
from pipelines.workspace import load_model, mel_of
from student import Student
from teacher import Teacher

LARGEST_BYTES = 16 * 2**20


@pytest.mark.parametrize("name", pretrained_names())
def test_a_pretrained_model_is_small_described_and_speaks(name: str) -> None:
    folder = SHIPPED / name
    assert (folder / "model.safetensors").stat().st_size <= LARGEST_BYTES
    card = (folder / "README.md").read_text()
    metadata = yaml.safe_load(card.split("---\n")[1])
    assert metadata["license"] == "cc-by-sa-3.0"
    assert metadata["library_name"] == "parallel-wavenet"
    for heading in ("Use", "Data and licences", "Training", "Evaluation", "Limits"):
        assert f"\n## {heading}\n" in card
    model = load_model(Path(name))
    mel = mel_of(model, Path(name))
    frames = torch.full((1, mel.num_mels, 8), mel.lowest)
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
    assert model_folder(Path("frame-16k")) == SHIPPED / "frame-16k"
    (tmp_path / "frame-16k").mkdir()
    (tmp_path / "frame-16k" / "notes.txt").touch()
    assert model_folder(Path("frame-16k")) == SHIPPED / "frame-16k"  # there is no model in it
    (tmp_path / "frame-16k" / "config.json").touch()
    assert model_folder(Path("frame-16k")) == Path("frame-16k")


def test_a_model_class_loads_a_name_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named, in_folder = (
        Teacher.from_pretrained(m) for m in ("teacher-16k", SHIPPED / "teacher-16k")
    )
    for name, tensor in named.state_dict().items():
        assert torch.equal(tensor, in_folder.state_dict()[name])
    with pytest.raises(ArtefactError, match="kind is 'student', expected 'teacher'"):
        Teacher.from_pretrained("frame-16k")


def test_a_hub_is_not_asked_for_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("flows.model_folder._fetch", lambda name, revision: Path("hub", name))
    (tmp_path / "exp").mkdir()
    for path in ("exp/allison", "./owner/name", "../owner/name", "/owner/name", "a/b/c", "-a/b"):
        with pytest.raises(ArtefactError, match="no such folder"):
            model_folder(path)
    assert model_folder("owner/name") == Path("hub/owner/name")


def test_without_the_hubs_package_a_line_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ArtefactError, match=r"owner/name: .* install huggingface_hub"):
        model_folder("owner/name")


def test_the_message_of_an_unknown_name_lists_the_known_names() -> None:
    with pytest.raises(ArtefactError, match=r"frame-17k: no such folder; .* are .*frame-16k"):
        model_folder(Path("frame-17k"))
