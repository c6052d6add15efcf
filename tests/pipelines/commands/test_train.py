"""The origin of a model: what is stored with it, and what a resumed run says."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from flows.pretrained import read_description
from pipelines.commands import train as commands
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
