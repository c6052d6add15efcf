"""The student's start from the teacher's context network."""

import dataclasses

import pytest
import torch

from distill import initialise_context
from flows import FrameContext, fold_weight_norm, folded_state, load_folded_state
from flows.networks.weight_norm import normalised_conv
from student import StudentConfig
from tests.models import (
    EXCITED_STUDENT,
    STUDENT,
    TEACHER,
    VOICED_STUDENT,
    make_mel,
    make_student,
    make_teacher,
)


@pytest.mark.parametrize("folded", [False, True])
def test_student_and_teacher_compute_the_same_frames_up_to_a_gain(folded: bool) -> None:
    teacher, student, mel = make_teacher(), make_student(seed=1), make_mel()
    teacher.context.set_statistics(torch.randn(4), torch.rand(4) + 0.5)
    wanted = teacher.context(mel, mel.shape[-1])
    if folded:  # as a loaded artefact has it
        fold_weight_norm(teacher)
    assert initialise_context(student, teacher)
    found = student.context(mel, mel.shape[-1])
    gain = (found * wanted).sum() / wanted.square().sum()
    torch.testing.assert_close(found, gain * wanted)


def test_the_copy_keeps_the_level_of_the_fresh_network() -> None:
    # A trained teacher's hidden frames may be far smaller; copied unscaled, training diverged.
    teacher, student = make_teacher(), make_student(seed=1)
    for model in (teacher, student):
        model.context.set_statistics(torch.full((4,), -5.0), torch.full((4,), 2.0))
    with torch.no_grad():
        teacher.context.second.bias.mul_(0.01)  # type: ignore[union-attr]
        teacher.context.second.parametrizations.weight.original0.mul_(0.01)  # type: ignore[union-attr]
    mel = 2 * make_mel(8, 40) - 5
    before = student.context(mel, 40).square().mean().sqrt()
    small = teacher.context(mel, 40).square().mean().sqrt()
    initialise_context(student, teacher)
    after = student.context(mel, 40).square().mean().sqrt()
    assert small < 0.1 * before
    assert 0.8 * before < after < 1.25 * before


def test_features_beside_the_hidden_channels_do_not_change_the_level() -> None:
    # With a given pitch, the networks of a student with a voice read the features, too.
    teacher = make_teacher(config=dataclasses.replace(TEACHER, pitch=True))
    student = make_student(seed=1, config=dataclasses.replace(VOICED_STUDENT, pitch=True))
    assert student.frame_context.num_added
    mel = torch.randn(1, 6, 40, generator=torch.Generator().manual_seed(0))
    before = student.frame_context(mel, 40)
    assert initialise_context(student, teacher)
    after = student.frame_context(mel, 40)
    added = student.frame_context.num_added
    rms = [hidden[:, :-added].square().mean().sqrt() for hidden in (before, after)]
    assert 0.8 * rms[0] < rms[1] < 1.25 * rms[0]


def test_the_copy_can_be_trained_and_leaves_the_teacher_alone() -> None:
    teacher, student, mel = make_teacher(), make_student(seed=1), make_mel()
    initialise_context(student, teacher)
    before = folded_state(teacher.context)
    optimizer = torch.optim.SGD(student.context.parameters(), lr=0.1)
    student.context(mel, mel.shape[-1]).square().sum().backward()
    optimizer.step()
    after = folded_state(student.context)
    for name, value in folded_state(teacher.context).items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
        if name.startswith("first."):
            assert not torch.allclose(after[name], value)


@pytest.mark.parametrize(
    "config",
    [dataclasses.replace(STUDENT, context_channels=5), EXCITED_STUDENT],
    ids=["narrower", "with_pitch"],
)
def test_another_shape_is_left_as_it_is(config: StudentConfig) -> None:
    teacher, student = make_teacher(), make_student(config=config)
    before = folded_state(student.context)
    assert not initialise_context(student, teacher)
    for name, value in folded_state(student.context).items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_a_state_that_does_not_fit_is_refused_by_name() -> None:
    state = folded_state(FrameContext(4, 6, 1))
    with pytest.raises(ValueError, match=r"first\.bias: found \(6,\), expected \(7,\)"):
        load_folded_state(FrameContext(4, 7, 1), state)
    del state["std"]
    with pytest.raises(ValueError, match=r"std: found nothing, expected \(4, 1\)"):
        load_folded_state(FrameContext(4, 6, 1), state)


def test_a_weight_of_zero_stays_a_number() -> None:
    layer = normalised_conv(2, 3, 1)
    state = {name: tensor.clone() for name, tensor in folded_state(layer).items()}
    state["weight"][1] = 0.0
    load_folded_state(layer, state)
    torch.testing.assert_close(layer.weight.detach(), state["weight"])
