"""The straightforward formulation of docs/results/speed/training.py gives equal results."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

from tests.models import HOP, make_mel, make_student, make_teacher

SCRIPT = Path(__file__).parents[3] / "docs" / "results" / "speed" / "training.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("training_speed", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_straightforward_teacher_has_the_same_likelihood(script: ModuleType) -> None:
    teacher, mel = make_teacher(), make_mel()
    waveform = 0.1 * torch.randn(2, 1, 6 * HOP, dtype=torch.float64)
    expected = teacher.log_prob(waveform, mel)
    script.make_naive(teacher)
    torch.testing.assert_close(teacher.log_prob(waveform, mel), expected)


def test_the_straightforward_student_draws_the_same(script: ModuleType) -> None:
    student, mel = make_student(), make_mel()
    z = torch.randn(2, 1, 6 * HOP, dtype=torch.float64)
    expected = student(z, mel)
    script.make_naive(student)
    found = student(z, mel)
    torch.testing.assert_close(found.waveform, expected.waveform)
    torch.testing.assert_close(found.log_scale, expected.log_scale)
