"""Other teachers, bases and estimators through the same commands."""

import dataclasses
import json
from pathlib import Path

import pytest

from pipelines import Recipe
from pipelines.benchmark.comparison import benchmark
from pipelines.commands import train as commands
from pipelines.commands.evaluate import evaluate
from pipelines.commands.report import report
from pipelines.generation.waveforms import generate
from student import ExcitationConfig, Student
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


def test_a_frame_student_goes_through_every_command(
    dump: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = dataclasses.replace(
        RECIPE.student,
        frame_length=32,
        excitation=ExcitationConfig(
            kind="harmonic", sample_rate=RECIPE.data.mel.sample_rate, fmin_hz=60.0
        ),
    )
    recipe = dataclasses.replace(RECIPE, student=frames)
    teacher, student = trained / "teacher", tmp_path / "student"
    commands.distill(recipe, dump=dump, teacher=teacher, exp=tmp_path, device="cpu")
    assert Student.from_pretrained(student).config == frames
    waveform = next((dump / "waveforms").rglob("*.npy"))
    mel = dump / "mels" / waveform.relative_to(dump / "waveforms")
    (written,) = generate(student, mel, tmp_path / "samples/student", max_seconds=0.5)
    assert written.seconds > 0
    assert "student: compiled, " in capsys.readouterr().out
    rows = benchmark(teacher, student, seconds=0.05, naive_samples=2, rounds=1)["rows"]
    assert {"student", "student, frame by frame"} < {row["system"] for row in rows}
    evaluate(teacher, student, dump, limit=1, out=tmp_path / "evaluation", device="cpu")
    report([tmp_path])
    assert (tmp_path / "report" / "index.html").exists()


def test_an_excitation_of_another_rate_is_refused() -> None:
    excitation = ExcitationConfig(kind="harmonic", sample_rate=8000)
    student = dataclasses.replace(RECIPE.student, frame_length=32, excitation=excitation)
    with pytest.raises(ValueError, match=r"student\.excitation\.sample_rate is 8000, but data"):
        dataclasses.replace(RECIPE, student=student)
