"""A prepared corpus and a quickly trained teacher and student, made once for all tests."""

import dataclasses
from pathlib import Path

import pytest

from data import PrepareConfig
from distill import DistillationConfig, SpectralConfig
from flows import WaveNetConfig
from pipelines import Recipe, TrainingConfig
from pipelines.commands import train as commands
from pipelines.commands.prepare import prepare
from student import StudentConfig
from teacher import TeacherConfig

TRAINING = TrainingConfig(
    max_steps=6,
    batch_size=2,
    segment_frames=4,
    warmup_steps=2,
    log_every=2,
    validate_every=3,
    validation_utterances=2,
    ema_decay=0.9,
)
RECIPE = Recipe(
    name="test",
    data=PrepareConfig(corpus="synthetic", num_workers=1),
    teacher=TeacherConfig(
        context_channels=4,
        wavenet=WaveNetConfig(
            num_layers=2,
            layers_per_cycle=2,
            residual_channels=4,
            skip_channels=4,
            prediction_order=4,
        ),
    ),
    teacher_training=TRAINING,
    student=StudentConfig(
        context_channels=4, flow_layers=(2, 2), layers_per_cycle=2, residual_channels=4
    ),
    student_training=TRAINING,
    distillation=DistillationConfig(
        spectral=SpectralConfig(fft_sizes=(256,), hop_lengths=(64,), win_lengths=(256,))
    ),
)


def longer(recipe: Recipe, steps: int) -> Recipe:
    """Return the recipe with another number of steps for both models."""
    training = dataclasses.replace(TRAINING, max_steps=steps)
    return dataclasses.replace(recipe, teacher_training=training, student_training=training)


@pytest.fixture(scope="session")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared synthetic corpus; not to be changed."""
    folder = tmp_path_factory.mktemp("pipeline")
    prepare(RECIPE, corpora=folder / "corpora", dump=folder / "dump")
    return folder / "dump"


@pytest.fixture(scope="session")
def trained(dump: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a trained `teacher` and `student`; not to be changed."""
    exp = tmp_path_factory.mktemp("exp")
    commands.train_teacher(RECIPE, dump=dump, exp=exp, device="cpu")
    commands.distill(RECIPE, dump=dump, exp=exp, device="cpu")
    return exp
