"""Training commands: the origin of a model, and the utterances that validate it."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from data import Manifest
from flows.pretrained import read_description
from pipelines.commands import train as commands
from pipelines.workspace import for_validation
from tests.pipelines.conftest import RECIPE, longer


def test_a_run_that_is_resumed_with_another_teacher_says_so(
    dump: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"dump": dump, "exp": tmp_path, "device": "cpu"}
    shutil.copytree(trained / "teacher", tmp_path / "first")
    commands.train_teacher(longer(RECIPE, 7), dump=dump, exp=tmp_path / "other", device="cpu")
    commands.distill(RECIPE, teacher=tmp_path / "first", **options)
    used = read_description(tmp_path / "first")["weights_sha256"]
    assert read_description(tmp_path / "student")["metadata"]["models"] == {"teacher": used}
    capsys.readouterr()
    commands.distill(longer(RECIPE, 8), teacher=tmp_path / "first", **options)
    assert "models.teacher" not in capsys.readouterr().out
    commands.distill(longer(RECIPE, 9), teacher=tmp_path / "other" / "teacher", **options)
    assert f"models.teacher '{used}' -> '" in capsys.readouterr().out


def test_the_prepared_datas_own_settings_are_stored(
    dump: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = dataclasses.replace(RECIPE.data, test_percent=40.0)
    recipe = dataclasses.replace(RECIPE, data=data)
    commands.train_teacher(recipe, dump=dump, exp=tmp_path, device="cpu")
    assert f"{dump}: was prepared with another data.test_percent, which holds: 5.0" in (
        capsys.readouterr().out
    )
    stored = read_description(tmp_path / "teacher")["metadata"]["recipe"]["data"]
    assert stored["test_percent"] == RECIPE.data.test_percent


@pytest.mark.parametrize("count", [1, 2, 3, 100])
def test_validation_is_spread_over_the_split(dump: Path, count: int) -> None:
    manifest = Manifest.load(dump)
    whole = [u.name for u in manifest.utterances("train")]
    manifest = Manifest(
        manifest.dump_dir,
        dataclasses.replace(
            manifest.contents,
            utterances=tuple(
                dataclasses.replace(u, split="val")
                for u in manifest.contents.utterances
                if u.split == "train"
            ),
        ),
    )
    names = [u.name for u in for_validation(manifest, count, "cpu")]
    number = min(count, len(whole))
    assert names == [whole[i * len(whole) // number] for i in range(number)]
