"""Under autocast: parameters, densities and filters in full precision, networks in bfloat16."""

import dataclasses

import pytest
import torch

from teacher import Teacher, TeacherConfig
from tests.models import FILTERED_STUDENT, HOP, TEACHER, make_mel, make_student, perturb

FRAMES = 24
PREDICTING = dataclasses.replace(
    TEACHER, wavenet=dataclasses.replace(TEACHER.wavenet, prediction_order=8)
)


def make_teacher(config: TeacherConfig) -> Teacher:
    torch.manual_seed(0)
    teacher = Teacher(config).eval()
    perturb(teacher)
    return teacher


def make_signal() -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    # The samples are a thousand times larger than the smallest scale.
    return 0.9 * torch.sin(0.05 * torch.arange(FRAMES * HOP)).view(1, 1, -1) + 1e-3 * torch.randn(
        1, 1, FRAMES * HOP, generator=generator
    )


@pytest.mark.parametrize("config", [TEACHER, PREDICTING])
def test_a_teachers_parameters_are_full_precision(config: TeacherConfig) -> None:
    teacher = make_teacher(config)
    x, mel = make_signal(), make_mel(1, FRAMES).float()
    loc, log_scale = teacher.predict(x, mel)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed_loc, mixed_log_scale = teacher.predict(x, mel)
        channels = teacher.wavenet.first.in_channels
        assert teacher.wavenet.first(x.expand(-1, channels, -1)).dtype == torch.bfloat16
        log_prob = teacher.log_prob(x, mel)
    assert mixed_loc.dtype == mixed_log_scale.dtype == log_prob.dtype == torch.float32
    # More than 8 bits: not every value survives rounding to bfloat16.
    assert not torch.equal(mixed_loc, mixed_loc.bfloat16().float())
    torch.testing.assert_close(mixed_loc, loc, rtol=0, atol=0.02)
    torch.testing.assert_close(mixed_log_scale, log_scale, rtol=0, atol=0.05)


def test_a_density_is_summed_in_full_precision() -> None:
    # A sum of 192 terms held to 8 bits would be wrong by up to a half per cent at every addition.
    teacher = make_teacher(TEACHER)
    x, mel = make_signal(), make_mel(1, FRAMES).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loc, log_scale = teacher.predict(x, mel)
        found = teacher.log_prob(x, mel)
    z = ((x - loc) * torch.exp(-log_scale)).double()
    terms = -0.5 * z.square() - log_scale.double() - 0.5 * torch.log(torch.tensor(2 * torch.pi))
    torch.testing.assert_close(found.double(), terms.sum((1, 2)), rtol=1e-5, atol=0)


def test_a_students_filter_is_full_precision() -> None:
    student = make_student(config=FILTERED_STUDENT).float()
    z = torch.randn(1, 1, FRAMES * HOP, generator=torch.Generator().manual_seed(1))
    mel = make_mel(1, FRAMES).float()
    expected = student(z, mel)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = student(z, mel)
    for value, wanted in zip(found[:3], expected[:3], strict=True):
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, wanted, rtol=0.02, atol=0.02)
