"""Voiced frames are drawn with less noise; the density and what else is learnt stay as they are."""

import dataclasses

import pytest
import torch

from teacher import Teacher
from tests.models import FRAME_TEACHER, HOP, make_mel, make_teacher

FRAMES = 6
CONFIG = dataclasses.replace(FRAME_TEACHER, voiced_temperature=0.5)


def drawn(teacher: Teacher, temperature: float = 1.0) -> torch.Tensor:
    return teacher.sample(make_mel(), temperature, torch.Generator().manual_seed(0))


def make_sure(teacher: Teacher, log_odds: float) -> Teacher:
    """Let the classifier give all frames the same log-odds."""
    assert teacher.voicing is not None
    with torch.no_grad():
        teacher.voicing.logit.weight.zero_()
        teacher.voicing.logit.bias.fill_(log_odds)
    return teacher


def test_the_temperature_is_that_of_voiced_frames_where_a_frame_is_voiced() -> None:
    teacher = make_teacher(config=CONFIG)
    voiced = drawn(make_sure(teacher, 50.0))
    unvoiced = drawn(make_sure(teacher, -50.0), 0.5)
    torch.testing.assert_close(voiced, unvoiced)
    assert (drawn(make_sure(teacher, -50.0)) - voiced).abs().max() > 1e-3


def test_each_frame_has_its_own_temperature() -> None:
    teacher = make_teacher(config=CONFIG)
    assert teacher.voicing is not None
    frames = torch.zeros(1, CONFIG.context_channels, 3, dtype=torch.float64)
    frames[:, 0] = torch.tensor([-100.0, 0.0, 100.0])
    with torch.no_grad():
        teacher.voicing.logit.weight.fill_(1.0)
        teacher.voicing.logit.bias.zero_()
    found = teacher.voicing.temperatures(frames, 0.5, HOP)
    expected = torch.tensor([1.0, 0.75, 0.5], dtype=torch.float64).repeat_interleave(HOP)
    torch.testing.assert_close(found, expected[None, None])


def test_the_density_does_not_depend_on_the_voicing() -> None:
    teacher = make_teacher(config=CONFIG)
    x = 0.1 * torch.randn(2, 1, FRAMES * HOP, dtype=torch.float64)
    before = teacher.log_prob(x, make_mel())
    torch.testing.assert_close(make_sure(teacher, 3.0).log_prob(x, make_mel()), before)


def test_the_loss_is_the_cross_entropy_and_leaves_the_context_network_alone() -> None:
    teacher = make_teacher(config=CONFIG)
    assert teacher.voicing is not None
    voiced = torch.rand(2, FRAMES, generator=torch.Generator().manual_seed(0)) < 0.5
    frames = teacher.frames_of(make_mel(), FRAMES)
    loss = teacher.voicing.loss(frames, voiced)
    likelihood = torch.where(voiced, 1.0, -1.0).double() * teacher.voicing(frames)
    torch.testing.assert_close(loss, -torch.nn.functional.logsigmoid(likelihood).mean())
    loss.backward()
    moved = {name for name, p in teacher.named_parameters() if p.grad is not None}
    assert moved == {"voicing.logit.weight", "voicing.logit.bias"}


@pytest.mark.parametrize("value", [0.0, 1.5, float("nan")])
def test_a_temperature_out_of_range_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"teacher\.voiced_temperature is .*, expected more than"):
        dataclasses.replace(CONFIG, voiced_temperature=value)
