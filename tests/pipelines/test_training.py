"""The training loop: averages, schedules, resuming, and what it leaves behind."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from flows import ArtefactError
from pipelines import TrainingConfig, commands, training
from pipelines.ema import averaged_copy, effective_decay
from pipelines.training import TrainingError, learning_rate_at
from student import Student
from teacher import Teacher
from tests.pipelines.conftest import RECIPE, longer


def test_average_follows_the_weights_slowly() -> None:
    # A public implementation inverted the decay: its average was the last step.
    model = nn.Linear(1, 1, bias=False)
    averaged = averaged_copy(model, 0.9)
    for _ in range(200):
        averaged.update_parameters(model)
    before = averaged.module.weight.clone()
    with torch.no_grad():
        model.weight.add_(1.0)
    averaged.update_parameters(model)
    torch.testing.assert_close(averaged.module.weight, before + 0.1)


def test_average_is_short_while_young() -> None:
    assert effective_decay(0.9999, 0) == pytest.approx(0.1)
    assert effective_decay(0.9999, 10**6) == 0.9999


def test_learning_rate_warms_up_and_decays() -> None:
    config = TrainingConfig(
        max_steps=110, warmup_steps=10, learning_rate=1.0, final_learning_rate_ratio=0.1
    )
    rates = [learning_rate_at(step, config) for step in range(110)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert learning_rate_at(110, config) == pytest.approx(0.1)


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_an_interrupted_run_ends_like_one_never_stopped(
    kind: str, dump: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = commands.train_teacher if kind == "teacher" else commands.distill
    options = {} if kind == "teacher" else {"teacher": trained / "teacher"}
    whole_train = training.train

    def interrupted(*arguments: object, **keywords: object) -> object:
        def stop(step: int) -> None:
            if step == 4:  # after the state of step 3 was saved
                raise KeyboardInterrupt

        return whole_train(*arguments, **keywords, on_step=stop)  # type: ignore[arg-type]

    monkeypatch.setattr(commands, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        command(RECIPE, dump=dump, exp=tmp_path, device="cpu", **options)
    monkeypatch.setattr(commands, "train", whole_train)
    command(RECIPE, dump=dump, exp=tmp_path, device="cpu", **options)
    for name in ("model.safetensors", "state.pt"):
        found, expected = (folder / kind / name for folder in (tmp_path, trained))
        if name == "model.safetensors":
            assert found.read_bytes() == expected.read_bytes()
        else:
            states = [torch.load(path, weights_only=True) for path in (found, expected)]
            assert states[0]["step"] == states[1]["step"] == 6
            for key, value in states[1]["model"].items():
                torch.testing.assert_close(states[0]["model"][key], value, rtol=0, atol=0)
    curves = [
        [
            {k: v for k, v in json.loads(line).items() if k != "seconds"}
            for line in (folder / kind / "metrics.jsonl").read_text().splitlines()
        ]
        for folder in (tmp_path, trained)
    ]
    assert curves[0] == curves[1]


def test_a_finished_run_is_left_alone(dump: Path, trained: Path) -> None:
    before = (trained / "teacher" / "model.safetensors").stat().st_mtime_ns
    commands.train_teacher(RECIPE, dump=dump, exp=trained, device="cpu")
    assert (trained / "teacher" / "model.safetensors").stat().st_mtime_ns == before


def test_state_of_another_recipe_is_refused(dump: Path, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "teacher").mkdir()
    (tmp_path / "teacher" / "state.pt").write_bytes((trained / "student" / "state.pt").read_bytes())
    with pytest.raises(TrainingError, match=r"state\.pt: cannot be resumed"):
        commands.train_teacher(RECIPE, dump=dump, exp=tmp_path, device="cpu")


def test_persistent_trouble_stops_with_the_last_good_state(
    dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Teacher, "log_prob", lambda self, x, c: (self.predict(x, c)[0] * torch.nan).sum((1, 2))
    )
    recipe = longer(RECIPE, 50)
    recipe = dataclasses.replace(
        recipe,
        teacher_training=dataclasses.replace(recipe.teacher_training, validate_every=1000),
    )
    with pytest.raises(TrainingError, match="20 steps in a row without a finite gradient"):
        commands.train_teacher(recipe, dump=dump, exp=tmp_path, device="cpu")


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
