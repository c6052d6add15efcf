"""Numbers that are not finite: skipped steps, their counts, and errors."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from data import Batch
from pipelines import Recipe
from pipelines.commands import train as commands
from pipelines.training.checkpoints import list_checkpoints, read_checkpoint
from pipelines.training.errors import TrainingError
from pipelines.training.tasks import TeacherTask
from teacher import Teacher
from tests.pipelines.conftest import RECIPE, longer

Loss = Callable[[Tensor, int], Tensor]


def spoil(monkeypatch: pytest.MonkeyPatch, change: Loss) -> None:
    """Change the teacher's loss as a function of the step."""
    forward = TeacherTask.forward

    def spoilt(self: TeacherTask, batch: Batch, step: int) -> dict[str, Tensor]:
        return {"loss": change(forward(self, batch, step)["loss"], step)}

    monkeypatch.setattr(TeacherTask, "forward", spoilt)


def training_curve(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["part"] == "train"]


def with_training(recipe: Recipe, **changes: object) -> Recipe:
    training = dataclasses.replace(recipe.teacher_training, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(recipe, teacher_training=training)


@pytest.mark.parametrize(
    "change",
    [
        lambda loss, step: loss * torch.nan if step == 2 else loss,
        # Constants leave the gradient finite.
        lambda loss, step: loss + torch.inf if step == 2 else loss,
        # sqrt(0) has a finite value and an infinite slope.
        lambda loss, step: loss + (loss - loss.detach()).abs().sqrt() if step == 2 else loss,
    ],
    ids=["NaN", "infinite loss", "infinite gradient"],
)
def test_a_step_that_is_not_finite_is_skipped_and_counted(
    dump: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: Loss,
) -> None:
    spoil(monkeypatch, change)
    recipe = with_training(RECIPE, log_every=1, validate_every=1, keep_checkpoints=9)
    commands.train_teacher(recipe, dump=dump, exp=tmp_path, device="cpu")
    after = {
        checkpoint.step: checkpoint
        for checkpoint in map(
            read_checkpoint, list_checkpoints(tmp_path / "teacher" / "checkpoints")
        )
    }
    for name, tensor in after[2].tensors.items():
        assert torch.equal(after[3].tensors[name], tensor), name
    assert any(not torch.equal(after[4].tensors[n], t) for n, t in after[3].tensors.items())
    skipped = [line["skipped_steps"] for line in training_curve(tmp_path / "teacher")]
    assert skipped == [0, 0, 1, 1, 1, 1]
    assert "step 2: loss" in capsys.readouterr().out


def test_a_long_gradient_is_clipped_and_counted(dump: Path, tmp_path: Path) -> None:
    recipe = with_training(RECIPE, gradient_clip=1e-3, log_every=1)
    commands.train_teacher(recipe, dump=dump, exp=tmp_path, device="cpu")
    curve = training_curve(tmp_path / "teacher")
    assert [line["clipped_steps"] for line in curve] == [1, 2, 3, 4, 5, 6]
    assert [line["skipped_steps"] for line in curve] == [0] * 6


def test_twenty_skipped_steps_stop_with_the_last_good_state(
    dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "teacher"
    with monkeypatch.context() as patch:
        spoil(patch, lambda loss, step: loss * torch.nan if step >= 4 else loss)
        with pytest.raises(TrainingError, match="20 steps in a row without a finite loss"):
            commands.train_teacher(longer(RECIPE, 50), dump=dump, exp=tmp_path, device="cpu")
    # The checkpoints during the skipped steps hold the weights from before them.
    newest = read_checkpoint(list_checkpoints(folder / "checkpoints")[0])
    assert all(torch.isfinite(tensor).all() for tensor in newest.tensors.values())
    Teacher.from_pretrained(folder)
    commands.train_teacher(longer(RECIPE, 50), dump=dump, exp=tmp_path, device="cpu")
    assert training_curve(folder)[-1]["step"] == 50


def test_skipped_steps_in_a_row_are_counted_across_an_interruption(
    dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, lambda loss, step: loss * torch.nan)
    with pytest.raises(TrainingError, match="20 steps"):
        commands.train_teacher(longer(RECIPE, 50), dump=dump, exp=tmp_path, device="cpu")
    newest = list_checkpoints(tmp_path / "teacher" / "checkpoints")[0]
    progress = read_checkpoint(newest).values["progress"]
    assert progress["step"] == progress["num_skipped_in_row"] == 18


def test_a_score_that_is_not_finite_is_never_the_best(
    dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.training import tasks

    values = iter([-1.0, float("nan")])
    monkeypatch.setattr(tasks, "teacher_nll", lambda model, utterances: next(values))
    commands.train_teacher(RECIPE, dump=dump, exp=tmp_path, device="cpu")
    assert Teacher.from_pretrained(tmp_path / "teacher").metadata["steps"] == 3


def test_share_of_log_scales_at_the_floor_is_logged(trained: Path) -> None:
    lines = (trained / "teacher" / "metrics.jsonl").read_text().splitlines()
    validations = [json.loads(line) for line in lines if '"validation"' in line]
    assert [line["floor_share"] for line in validations] == [0.0, 0.0]


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_bfloat16_trains_like_float32(kind: str, dump: Path, trained: Path, tmp_path: Path) -> None:
    training = dataclasses.replace(RECIPE.teacher_training, precision="bf16-mixed")
    recipe = dataclasses.replace(RECIPE, teacher_training=training, student_training=training)
    if kind == "teacher":
        commands.train_teacher(recipe, dump=dump, exp=tmp_path, device="cpu")
    else:
        commands.distill(recipe, dump=dump, exp=tmp_path, device="cpu", teacher=trained / "teacher")
    found, expected = (training_curve(folder / kind) for folder in (tmp_path, trained))
    assert found != expected
    for line, wanted in zip(found, expected, strict=True):
        assert line["loss"] == pytest.approx(wanted["loss"], rel=0.01)


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_recomputed_layers_train_the_same(
    kind: str, dump: Path, trained: Path, tmp_path: Path
) -> None:
    training = dataclasses.replace(RECIPE.teacher_training, recompute=True)
    recipe = dataclasses.replace(RECIPE, teacher_training=training, student_training=training)
    if kind == "teacher":
        commands.train_teacher(recipe, dump=dump, exp=tmp_path, device="cpu")
    else:
        commands.distill(recipe, dump=dump, exp=tmp_path, device="cpu", teacher=trained / "teacher")
    found, expected = (training_curve(folder / kind) for folder in (tmp_path, trained))
    for line, wanted in zip(found, expected, strict=True):
        assert line["loss"] == pytest.approx(wanted["loss"], rel=1e-5)
