"""Model folders: whole, described, and never unpickled."""

import json
import pickle
from pathlib import Path

import pytest
import torch

from flows import ArtefactError
from teacher import Teacher
from tests.models import HOP, make_mel, make_teacher


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_teacher().float().save_pretrained(tmp_path, {"mel": {"sample_rate": 16000}})
    return tmp_path


def edit(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_loaded_model_is_the_saved_one(folder: Path) -> None:
    saved, loaded = make_teacher().float(), Teacher.from_pretrained(folder)
    x, mel = 0.1 * torch.randn(2, 1, 6 * HOP), make_mel().float()
    torch.testing.assert_close(loaded.log_prob(x, mel), saved.log_prob(x, mel))
    assert loaded.metadata == {"mel": {"sample_rate": 16000}}
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())


def test_a_loaded_model_can_be_saved_again(folder: Path, tmp_path: Path) -> None:
    loaded = Teacher.from_pretrained(folder)
    loaded.save_pretrained(tmp_path / "again")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_loading_never_executes_code(folder: Path) -> None:
    # Checkpoints that pickle modules run whatever they hold.
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (exec, ("raise SystemExit('executed')",))

    (folder / "model.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ArtefactError, match=r"model\.safetensors: cannot be read"):
        Teacher.from_pretrained(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "student"}, "kind is 'student', expected 'teacher'"),
        ({"format": 99}, "format is 99, this version reads 1"),
        ({"metadata": []}, "metadata is missing or not of type dict"),
        ({"config": {"num_melz": 3}}, r"unknown field 'num_melz' \(did you mean 'num_mels'\?\)"),
        ({"config": {"num_mels": "many"}}, "num_mels is 'many', expected int"),
        ({"config": {"num_mels": 0}}, r"num_mels is 0, expected at least 1"),
        ({"config": {"wavenet": 3}}, "wavenet is 3, expected a mapping"),
    ],
)
def test_a_bad_description_is_told_in_one_line(
    folder: Path, changes: dict[str, object], message: str
) -> None:
    edit(folder, **changes)
    with pytest.raises(ArtefactError, match=message) as caught:
        Teacher.from_pretrained(folder)
    assert "config.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_that_do_not_fit_name_the_tensor(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())["config"]
    edit(folder, config=config | {"context_channels": 7})
    with pytest.raises(
        ArtefactError, match=r"context\.first\.bias: found \(6,\) of float32, expected \(7,\)"
    ):
        Teacher.from_pretrained(folder)


def test_missing_and_damaged_files_are_named(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ArtefactError, match=r"model\.safetensors: cannot be read"):
        Teacher.from_pretrained(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ArtefactError, match=r"config\.json: cannot be read"):
        Teacher.from_pretrained(folder)
    with pytest.raises(ArtefactError, match=r"nowhere: no such folder; the pretrained models are"):
        Teacher.from_pretrained(folder / "nowhere")
    (folder / "empty").mkdir()
    with pytest.raises(ArtefactError, match=r"empty/config\.json: cannot be read"):
        Teacher.from_pretrained(folder / "empty")


def test_a_failed_write_leaves_the_old_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (folder / "model.safetensors").read_bytes()

    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        make_teacher(seed=1).float().save_pretrained(folder)
    assert (folder / "model.safetensors").read_bytes() == before
    names = ["README.md", "config.json", "model.safetensors"]
    assert sorted(p.name for p in folder.iterdir()) == names
