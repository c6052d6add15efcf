"""The training loop: interrupting, resuming, and the files of a run."""

import dataclasses
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from data import Batch
from distill import AdversarialConfig
from flows import ArtefactError
from pipelines.commands import train as commands
from pipelines.training import loop as training
from pipelines.training import tasks
from pipelines.training.checkpoints import list_checkpoints, step_of
from pipelines.training.errors import TrainingError
from pipelines.training.log import TrainingLog
from pipelines.training.signals import Stopped
from storage.folder_lock import FolderInUseError
from student import ExcitationConfig, Student
from teacher import Teacher
from tests.pipelines.conftest import RECIPE, longer
from tests.pipelines.training.conftest import (
    Training,
    assert_same_run,
    curve,
    interrupt_after,
)


@pytest.mark.parametrize("received", [signal.SIGTERM, signal.SIGINT])
def test_a_run_stopped_at_every_step_equals_an_uninterrupted_run(
    run: Training, trained: Path, monkeypatch: pytest.MonkeyPatch, received: signal.Signals
) -> None:
    interrupt_after(monkeypatch, set(range(1, 6)), partial(signal.raise_signal, received))
    for step in range(1, 6):
        with pytest.raises(
            Stopped, match=f"stopped by {received.name} after step {step}, saved in"
        ):
            run()
    run()
    assert_same_run(run.folder, trained / run.kind)


@pytest.mark.parametrize("step", [2, 3, 4])
def test_a_run_that_broke_off_equals_an_uninterrupted_run(
    run: Training, trained: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    class BrokenOffError(Exception):
        pass

    def break_off() -> None:
        raise BrokenOffError

    interrupt_after(monkeypatch, {step}, break_off)
    with pytest.raises(BrokenOffError):
        run()
    monkeypatch.undo()
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "part": "tra')  # a kill in the midst of a line
    run()
    assert_same_run(run.folder, trained / run.kind)


def test_discriminators_resume_with_the_student_and_its_newest_model_counts(
    dump: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spectral = RECIPE.distillation.spectral
    objective = dataclasses.replace(
        RECIPE.distillation,
        adversarial_weight=1.0,
        adversarial=AdversarialConfig(first_step=2, channels=2, spectral=spectral),
    )
    recipe = dataclasses.replace(RECIPE, distillation=objective)
    whole = Training("student", dump, trained, tmp_path / "whole")
    whole(recipe)
    lines = [line for line in curve(whole.folder) if line["part"] == "train"]
    assert ["discriminator" in line for line in lines] == [False, True, True]
    assert all("score" not in line for line in curve(whole.folder))
    assert Student.from_pretrained(whole.folder).metadata["steps"] == 6
    interrupted = Training("student", dump, trained, tmp_path / "interrupted")
    interrupt_after(monkeypatch, {1, 4}, partial(signal.raise_signal, signal.SIGTERM))
    for _ in range(2):
        with pytest.raises(Stopped):
            interrupted(recipe)
    interrupted(recipe)
    assert_same_run(interrupted.folder, whole.folder)


def test_student_and_discriminators_are_clipped_apart(
    dump: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clipped: list[tuple[int, float]] = []

    def clip(parameters: Iterable[torch.nn.Parameter], max_norm: float) -> torch.Tensor:
        parameters = list(parameters)
        clipped.append((len(parameters), max_norm))
        return clip_grad_norm_(parameters, max_norm)

    monkeypatch.setattr(training, "clip_grad_norm_", clip)
    objective = dataclasses.replace(
        RECIPE.distillation,
        adversarial_weight=1.0,
        adversarial=AdversarialConfig(channels=2, spectral=RECIPE.distillation.spectral),
    )
    recipe = dataclasses.replace(RECIPE, distillation=objective)
    task = commands.student_task(recipe, dump, trained / "teacher", torch.device("cpu"))
    sizes = [len(list(part.parameters())) for part in (task.model, *task.companions.values())]
    Training("student", dump, trained, tmp_path)(recipe)
    assert len(sizes) == 2
    assert clipped[:2] == [(size, recipe.student_training.gradient_clip) for size in sizes]


def test_the_first_steps_may_train_the_excitation_alone(
    dump: Path, trained: Path, tmp_path: Path
) -> None:
    excitation = ExcitationConfig(kind="voice", voice_order=8, voice_channels=4, pitch_channels=4)
    size = dataclasses.replace(
        RECIPE.student, frame_length=RECIPE.data.mel.hop_length // 2, excitation=excitation
    )
    spectral = RECIPE.distillation.spectral
    objective = dataclasses.replace(
        RECIPE.distillation,
        excitation_steps=2,
        adversarial_weight=1.0,
        adversarial=AdversarialConfig(channels=2, spectral=spectral),
    )
    recipe = dataclasses.replace(RECIPE, student=size, distillation=objective)
    run = Training("student", dump, trained, tmp_path / "voiced")
    run(recipe)
    lines = [line for line in curve(run.folder) if line["part"] == "train"]
    assert ["kl" in line for line in lines] == [False, True, True]
    assert ["discriminator" in line for line in lines] == [False, True, True]
    assert all({"pitch", "voice"} <= set(line) for line in lines)


def test_random_numbers_of_a_step_do_not_depend_on_the_steps_before(
    run: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[int, float] = {}
    step_of = training._Run.step

    def draw(self: training._Run, batch: Batch, log: TrainingLog) -> dict[str, float | Tensor]:
        values = step_of(self, batch, log)
        drawn.setdefault(self.state.progress.step, float(torch.rand(())))
        assert drawn[self.state.progress.step] != drawn.get(self.state.progress.step - 1)
        return values

    monkeypatch.setattr(training._Run, "step", draw)
    interrupt_after(monkeypatch, {4}, partial(signal.raise_signal, signal.SIGTERM))
    with pytest.raises(Stopped):
        run()
    before = dict(drawn)
    drawn.clear()
    shutil.rmtree(run.folder)
    monkeypatch.setattr(commands, "train", training.train)
    run()
    assert before == {step: drawn[step] for step in range(4)}


def test_a_second_run_on_the_folder_is_refused(
    run: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = []

    def try_again() -> None:
        with pytest.raises(FolderInUseError, match=f"in use by another run .process {os.getpid()}"):
            run()
        refusals.append(True)

    interrupt_after(monkeypatch, {2}, try_again)
    run()
    assert refusals == [True]


def test_a_damaged_checkpoint_is_reported_and_the_one_before_is_used(
    run: Training, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained / run.kind, run.folder)
    newest = list_checkpoints(run.folder / "checkpoints")[0]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    run()
    said = capsys.readouterr().out
    assert f"{newest.name}: damaged" in said
    assert "resuming at step 3" in said
    assert_same_run(run.folder, trained / run.kind)
    assert newest.with_name(f"{newest.name}.damaged").exists()


def test_it_is_an_error_if_all_checkpoints_are_damaged(run: Training, trained: Path) -> None:
    shutil.copytree(trained / run.kind, run.folder)
    for path in list_checkpoints(run.folder / "checkpoints"):
        os.truncate(path, 100)
    with pytest.raises(TrainingError, match=r"damaged.*so is every other checkpoint: remove"):
        run()


@pytest.mark.parametrize("name", ["state.pt", "config.json"])
def test_a_model_without_checkpoint_is_not_overwritten(
    run: Training, trained: Path, name: str
) -> None:
    run.folder.mkdir()
    shutil.copy(trained / run.kind / "config.json", run.folder / name)
    with pytest.raises(TrainingError, match=f"holds {name} but no checkpoint to resume from"):
        run()


@pytest.mark.parametrize(
    "damage",
    [Path.unlink, lambda path: os.truncate(path, 50), lambda path: path.write_bytes(b"other")],
)
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_damaged_model_is_written_again(
    run: Training, trained: Path, damage: Callable[[Path], None], name: str
) -> None:
    shutil.copytree(trained / run.kind, run.folder)
    damage(run.folder / name)
    run()
    assert_same_run(run.folder, trained / run.kind)


def test_the_last_checkpoints_and_the_best_are_kept(
    dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([3.0, 1.0, 2.0, 4.0, 5.0, 6.0])
    monkeypatch.setattr(tasks, "teacher_nll", lambda model, utterances: next(scores))
    settings = dataclasses.replace(RECIPE.teacher_training, validate_every=1)
    recipe = dataclasses.replace(RECIPE, teacher_training=settings)
    commands.train_teacher(recipe, dump=dump, exp=tmp_path, device="cpu")
    kept = list_checkpoints(tmp_path / "teacher" / "checkpoints")
    assert [step_of(path) for path in kept] == [6, 5, 2]
    assert Teacher.from_pretrained(tmp_path / "teacher").metadata["steps"] == 2


def test_values_changed_since_the_checkpoint_are_reported(
    dump: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.train_teacher(RECIPE, dump=dump, exp=tmp_path, device="cpu")
    commands.train_teacher(longer(RECIPE, 7), dump=dump, exp=tmp_path, device="cpu")
    assert "recipe.teacher_training.max_steps 6 -> 7" in capsys.readouterr().out


def test_a_finished_run_is_left_alone(dump: Path, trained: Path) -> None:
    before = (trained / "teacher" / "model.safetensors").stat().st_mtime_ns
    commands.train_teacher(RECIPE, dump=dump, exp=trained, device="cpu")
    assert (trained / "teacher" / "model.safetensors").stat().st_mtime_ns == before


def test_state_of_another_recipe_is_refused(dump: Path, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "student" / "checkpoints", tmp_path / "teacher" / "checkpoints")
    with pytest.raises(TrainingError, match=r"safetensors: .*it may belong to another recipe"):
        commands.train_teacher(RECIPE, dump=dump, exp=tmp_path, device="cpu")


def test_artefacts_describe_themselves(trained: Path) -> None:
    for kind in ("teacher", "student"):
        described = json.loads((trained / kind / "config.json").read_text())
        assert described["kind"] == kind
        metadata = described["metadata"]
        assert metadata["mel"]["sample_rate"] == 16000
        assert metadata["recipe"]["seed"] == RECIPE.seed
        assert metadata["corpus_checksum"]
        assert metadata["versions"]["torch"] == torch.__version__
        assert list((trained / kind / "tensorboard").iterdir())


def test_a_student_is_not_a_teacher(trained: Path) -> None:
    with pytest.raises(ArtefactError, match="kind is 'student', expected 'teacher'"):
        Teacher.from_pretrained(trained / "student")
    assert Student.from_pretrained(trained / "student").metadata["steps"] <= 6


def test_a_run_without_the_pitch_term_keeps_its_predictor_and_resumes(
    dump: Path, trained: Path, tmp_path: Path
) -> None:
    excitation = ExcitationConfig(kind="harmonic", pitch_channels=4)
    student = dataclasses.replace(RECIPE.student, frame_length=64, excitation=excitation)
    objective = dataclasses.replace(RECIPE.distillation, pitch_weight=0.0)
    recipe = dataclasses.replace(RECIPE, student=student, distillation=objective)
    run = Training("student", dump, trained, tmp_path)
    predictors = []
    for steps in (2, 4):
        run(longer(recipe, steps))
        predictors.append(Student.from_pretrained(run.folder).context.predictor.state_dict())
    torch.testing.assert_close(predictors[0], predictors[1], rtol=0, atol=0)
