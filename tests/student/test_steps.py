"""The steps of a student: one order for the flow, the sample, its distribution and an export."""

import dataclasses

import pytest
import torch

from student.steps import draw
from tests.models import HOP, STUDENT, VOICED_STUDENT, make_mel, make_student

FRAMES = 6
CONFIGS = [
    STUDENT,
    VOICED_STUDENT,
    dataclasses.replace(VOICED_STUDENT, filter_order=5),
]


@pytest.mark.parametrize("config", CONFIGS, ids=["plain", "voiced", "voiced_and_filtered"])
def test_the_flow_and_the_sample_take_the_steps_in_one_order(config: object) -> None:
    student, mel = make_student(config=config), make_mel()
    z = torch.randn(2, 1, FRAMES * HOP, generator=torch.Generator().manual_seed(2)).double()
    context = student.frames_of(mel, FRAMES)
    sample = student(z, mel)
    by_flow, log_det = student.flow.transform.inverse(z, context)
    torch.testing.assert_close(draw(student.steps, z, context), sample.waveform)
    torch.testing.assert_close(by_flow, sample.waveform)
    torch.testing.assert_close(log_det, sample.log_scale.sum((1, 2)))


def test_a_tensor_is_no_context_of_a_student() -> None:
    student, mel = make_student(), make_mel()
    with pytest.raises(ValueError, match="of type Tensor, expected the StudentContext that"):
        student.flow.log_prob(torch.zeros(2, 1, FRAMES * HOP).double(), student.context(mel, 6))
