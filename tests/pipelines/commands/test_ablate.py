"""The ablation command: objectives by name, one budget, one table."""

import dataclasses
import json
from pathlib import Path

import pytest

from distill import DistillationConfig
from pipelines.cli import main
from pipelines.commands.ablate import ablate, parse_objectives
from tests.pipelines.conftest import RECIPE


def test_objectives_are_read_by_name() -> None:
    base = DistillationConfig(kl_weight=0.02, spectral_weight=0.0)
    found = parse_objectives("kl, kl+spectral+perceptual", base)
    assert list(found) == ["kl", "kl+spectral+perceptual"]
    assert found["kl"].kl_weight == 0.02
    assert found["kl"].spectral_weight == found["kl"].power_weight == 0
    both = found["kl+spectral+perceptual"]
    assert (both.kl_weight, both.spectral_weight, both.perceptual_weight) == (0.02, 1.0, 1.0)
    assert both.power_weight == both.contrastive_weight == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kl,spektral", r"unknown term 'spektral' \(did you mean 'spectral'\?\)"),
        ("kl+kl", "'kl\\+kl' names a term twice"),
        ("", "unknown term ''"),
    ],
)
def test_impossible_objectives_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_objectives(text, DistillationConfig())


def test_every_objective_gets_a_row_and_finished_students_are_kept(
    dump: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["kl", "spectral+stft_power", "perceptual+contrastive+forward_kl"]

    def run() -> None:
        ablate(
            RECIPE,
            objectives=",".join(names),
            max_steps=2,
            dump=dump,
            teacher=trained / "teacher",
            out=tmp_path,
            device="cpu",
        )

    run()
    result = json.loads((tmp_path / "ablation.json").read_text())
    assert [row["objective"] for row in result["rows"]] == ["untrained", *names]
    for row in result["rows"]:
        assert {"kl", "stft", "power", "forward_kl", "following_ratio", "std_ratio"} <= row.keys()
    assert result["rows"][2]["weights"] == {"spectral": 1.0, "stft_power": 1.0}
    table = (tmp_path / "ablation.md").read_text()
    assert table in capsys.readouterr().out
    assert all(f"| {name} |" in table for name in names)
    before = (tmp_path / "kl" / "student" / "model.safetensors").stat().st_mtime_ns
    run()
    assert (tmp_path / "kl" / "student" / "model.safetensors").stat().st_mtime_ns == before


def test_a_mistake_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ablate", "--recipe", "tiny", "--objectives", "kl,mse"]) == 2
    message = capsys.readouterr().err
    assert "unknown term 'mse'" in message
    assert message.count("\n") == 1


def test_a_student_of_another_budget_is_not_tabulated(
    dump: Path, trained: Path, tmp_path: Path
) -> None:
    options = {"dump": dump, "teacher": trained / "teacher", "out": tmp_path, "device": "cpu"}
    ablate(RECIPE, objectives="mel", max_steps=3, **options)
    with pytest.raises(ValueError, match=r"mel/student: holds a student of .* \(3 steps, not 2\)"):
        ablate(RECIPE, objectives="mel", max_steps=2, **options)
    other = dataclasses.replace(RECIPE, seed=7)
    with pytest.raises(ValueError, match=r"mel/student: holds a student of .* \(seed 1 -> 7\)"):
        ablate(other, objectives="mel", max_steps=3, **options)
