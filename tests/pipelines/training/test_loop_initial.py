"""Training that starts from a trained model."""

import dataclasses
import signal
from functools import partial
from pathlib import Path

import pytest
import torch

from pipelines.commands import train as commands
from pipelines.training.signals import Stopped
from student import Student
from tests.pipelines.conftest import RECIPE
from tests.pipelines.training.conftest import Training, assert_same_run, interrupt_after


def test_a_student_may_start_from_a_trained_one(dump: Path, trained: Path, tmp_path: Path) -> None:
    initial = trained / "student"
    place = torch.device("cpu")
    task = commands.student_task(RECIPE, dump, trained / "teacher", place, initial)
    mel = torch.randn(1, RECIPE.student.num_mels, 5)
    drawn = [
        student.eval().sample(mel, generator=torch.Generator().manual_seed(0))
        for student in (task.model, Student.from_pretrained(initial))
    ]
    torch.testing.assert_close(*drawn)
    wider = dataclasses.replace(RECIPE, student=dataclasses.replace(RECIPE.student, kernel_size=2))
    with pytest.raises(ValueError, match="is not the recipe's student: kernel_size 3 -> 2"):
        commands.student_task(wider, dump, trained / "teacher", place, initial)
    named = dataclasses.replace(RECIPE.student_training, initial=str(initial))
    recipe = dataclasses.replace(RECIPE, student_training=named)
    again = commands.student_task(recipe, dump, trained / "teacher", place).model
    torch.testing.assert_close(again.state_dict(), task.model.state_dict())


def test_a_run_that_keeps_initial_weights_resumes_to_the_same_model(
    dump: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(
        RECIPE.student_training, initial=str(trained / "student"), initial_share=0.5
    )
    recipe = dataclasses.replace(RECIPE, student_training=config)
    whole = Training("student", dump, trained, tmp_path / "whole")
    whole(recipe)
    interrupted = Training("student", dump, trained, tmp_path / "interrupted")
    interrupt_after(monkeypatch, {4}, partial(signal.raise_signal, signal.SIGTERM))
    with pytest.raises(Stopped):
        interrupted(recipe)
    interrupted(recipe)
    assert_same_run(interrupted.folder, whole.folder)
    none = dataclasses.replace(config, initial="")
    with pytest.raises(ValueError, match=r"initial_share is 0\.5, expected 0 without a model"):
        whole(dataclasses.replace(RECIPE, student_training=none))
