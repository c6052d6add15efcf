"""Other teachers, bases and estimators through the same commands."""

import dataclasses
import json
from pathlib import Path

import pytest

from pipelines import Recipe, commands
from pipelines.generate import generate
from student import Student
from teacher import Teacher
from tests.pipelines.conftest import RECIPE


def variant(**teacher: object) -> Recipe:
    """The test recipe with a mixture teacher, a logistic student and Parallel WaveNet's terms."""
    return dataclasses.replace(
        RECIPE,
        teacher=dataclasses.replace(
            RECIPE.teacher, distribution="mixture", num_components=3, **teacher
        ),
        student=dataclasses.replace(RECIPE.student, base="logistic"),
        distillation=dataclasses.replace(
            RECIPE.distillation,
            kl_weight=0.0,
            kl_estimator="monte_carlo",
            num_draws=3,
            power_weight=0.0,
            spectral_weight=0.0,
            stft_power_weight=1.0,
            perceptual_weight=1.0,
            contrastive_weight=1.0,
        ),
    )


@pytest.mark.parametrize("discretised", [False, True])
def test_parallel_wavenets_models_and_terms_run_through(
    discretised: bool, dump: Path, tmp_path: Path
) -> None:
    recipe = variant(discretised=discretised)
    commands.train_teacher(recipe, dump=dump, exp=tmp_path, device="cpu")
    commands.distill(recipe, dump=dump, exp=tmp_path, device="cpu")
    assert Teacher.from_pretrained(tmp_path / "teacher").config == recipe.teacher
    assert Student.from_pretrained(tmp_path / "student").config == recipe.student
    lines = [json.loads(line) for line in (tmp_path / "teacher/metrics.jsonl").open()]
    validation = [line for line in lines if line["part"] == "validation"][-1]
    assert ("discretised_bits" in validation) == discretised
    if discretised:
        assert validation["score"] == validation["discretised_bits"] > 0
    waveform = next((dump / "waveforms").rglob("*.npy"))
    mel = dump / "mels" / waveform.relative_to(dump / "waveforms")
    for kind in ("teacher", "student"):
        (written,) = generate(
            tmp_path / kind, mel, tmp_path / "out", max_seconds=0.05, device="cpu"
        )
        assert written.seconds > 0


def test_draws_of_a_step_are_the_same_after_an_interruption(dump: Path, tmp_path: Path) -> None:
    recipe = variant()
    commands.train_teacher(recipe, dump=dump, exp=tmp_path, device="cpu")
    weights = []
    for name in ("one", "two"):
        folder = tmp_path / name
        commands.distill(recipe, dump=dump, exp=folder, teacher=tmp_path / "teacher", device="cpu")
        weights.append((folder / "student" / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]
