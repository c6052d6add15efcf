"""The whole objective: its scores, and the paths of its gradients."""

from unittest import mock

import pytest
import torch

from distill import (
    Distillation,
    DistillationConfig,
    SpectralConfig,
    check_health,
    gaussian_kl,
)
from flows import Pretrained
from student import Student, StudentConfig
from tests.models import HOP, STUDENT, make_mel, make_student, make_teacher

FRAMES = 20
CONFIG = DistillationConfig(
    spectral=SpectralConfig(fft_sizes=(64,), hop_lengths=(16,), win_lengths=(64,))
)


@pytest.fixture
def objective() -> Distillation:
    return Distillation(make_student(), make_teacher(), CONFIG)


def make_batch(batch: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    noise = torch.randn(batch, 1, FRAMES * HOP, generator=generator, dtype=torch.float64)
    recording = 0.1 * torch.randn(noise.shape, generator=generator, dtype=torch.float64)
    return noise, make_mel(batch, FRAMES), recording


def test_the_teacher_scores_the_students_sample_not_the_recording(objective: Distillation) -> None:
    # A public implementation fed the recording.
    noise, mel, recording = make_batch()
    expected = objective.student(noise, mel).waveform
    with mock.patch.object(
        objective.teacher, "prediction", wraps=objective.teacher.prediction
    ) as predict:
        objective(noise, mel, recording)
    (scored, _), _ = predict.call_args
    torch.testing.assert_close(scored, expected)


def test_the_teacher_is_frozen_but_gradients_pass_through_its_input(
    objective: Distillation,
) -> None:
    noise, mel, recording = make_batch()
    objective.train()
    assert not objective.teacher.training
    config = DistillationConfig(spectral_weight=0.0, power_weight=0.0, spectral=CONFIG.spectral)
    Distillation(objective.student, objective.teacher, config)(noise, mel, recording)[
        "loss"
    ].backward()
    assert all(p.grad is None for p in objective.teacher.parameters())
    assert all(p.grad is not None for p in objective.student.parameters())
    sample = objective.student(noise, mel)
    loc_p, _ = objective.teacher.predict(sample.waveform, mel)
    (gradient,) = torch.autograd.grad(loc_p.sum(), sample.waveform)
    assert gradient.abs().sum() > 0


def test_loss_is_the_weighted_sum_of_its_terms(objective: Distillation) -> None:
    terms = objective(*make_batch())
    expected = 0.5 * (terms["kl"] + 4.0 * terms["log_scale_regulariser"]) + (
        terms["spectral_convergence"] + terms["log_magnitude"] + terms["power"]
    )
    torch.testing.assert_close(terms["loss"], expected)


def test_the_first_receptive_field_is_left_out(objective: Distillation) -> None:
    noise, mel, recording = make_batch()
    sample = objective.student(noise, mel)
    loc_p, log_scale_p = objective.teacher.predict(sample.waveform, mel)
    start = objective.teacher.receptive_field
    assert 0 < start < FRAMES * HOP // 2
    full = gaussian_kl(sample.loc, sample.log_scale, loc_p, log_scale_p)
    expected = full[..., start:].mean().float()
    torch.testing.assert_close(objective(noise, mel, recording)["kl"], expected)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_half_of_a_short_clip_counts(objective: Distillation, frames: int) -> None:
    noise, mel, recording = make_batch()
    noise, mel, recording = (
        noise[..., : frames * HOP],
        mel[..., :frames],
        recording[..., : frames * HOP],
    )
    sample = objective.student(noise, mel)
    full = gaussian_kl(
        sample.loc, sample.log_scale, *objective.teacher.predict(sample.waveform, mel)
    )
    start = min(objective.teacher.receptive_field, frames * HOP // 2)
    torch.testing.assert_close(
        objective(noise, mel, recording)["kl"], full[..., start:].mean().float()
    )


def test_kl_is_zero_when_the_student_is_the_teacher() -> None:
    # Make both the same unit Gaussian: heads without weights.
    teacher, student = make_teacher(), make_student()
    with torch.no_grad():
        for network in (teacher.wavenet, *student.parts.networks):
            network.head.weight.zero_()
            network.head.bias.zero_()
            assert network.frame_params is not None
            network.frame_params.weight.zero_()
    student.set_initial_std(1.0)
    terms = Distillation(student, teacher, CONFIG)(*make_batch())
    assert float(terms["kl"].detach()) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(
    ("weights", "term"),
    [
        ({"spectral_weight": 0.0, "power_weight": 0.0}, "kl"),
        ({"spectral_weight": 0.0, "power_weight": 0.0}, "log_scale_regulariser"),
        ({"kl_weight": 0.0, "power_weight": 0.0}, "spectral_convergence"),
        ({"kl_weight": 0.0, "power_weight": 0.0}, "log_magnitude"),
        ({"kl_weight": 0.0, "spectral_weight": 0.0}, "power"),
    ],
)
def test_a_few_steps_reduce_each_term(weights: dict[str, float], term: str) -> None:
    config = DistillationConfig(spectral=CONFIG.spectral, **weights)
    objective = Distillation(make_student(), make_teacher(), config)
    noise, mel, recording = make_batch()
    before = objective(noise, mel, recording)
    optimizer = torch.optim.Adam(objective.student.parameters(), lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        objective(noise, mel, recording)["loss"].backward()
        optimizer.step()
    after = objective(noise, mel, recording)
    assert after["loss"] < before["loss"]
    assert after[term] < before[term]


def test_mismatched_models_are_refused() -> None:
    other = Student(StudentConfig(num_mels=STUDENT.num_mels, hop_length=16, context_margin=1))
    with pytest.raises(ValueError, match=r"student\.hop_length is 16, but the teacher's is 8"):
        Distillation(other, make_teacher(), CONFIG)


def test_weights_are_checked() -> None:
    with pytest.raises(ValueError, match="kl_weight is -1"):
        DistillationConfig(kl_weight=-1)
    with pytest.raises(ValueError, match="every weight is 0"):
        DistillationConfig(kl_weight=0, spectral_weight=0, power_weight=0)


def health_warnings(objective: Distillation, recording_gain: float = 1.0) -> str:
    noise, mel, recording = make_batch()
    return " ".join(check_health(objective, noise, mel, recording * recording_gain).warnings)


def test_health_warns_of_a_quiet_student(objective: Distillation) -> None:
    ratio = check_health(objective, *make_batch()).values["std_ratio"]
    assert "whispers" in health_warnings(objective, recording_gain=10 * ratio)
    assert "whispers" not in health_warnings(objective, recording_gain=ratio)


def test_health_warns_of_a_student_that_ignores_its_context(objective: Distillation) -> None:
    assert "ignores its context" in health_warnings(objective_without_context())


def objective_without_context() -> Distillation:
    models: list[Pretrained] = [make_student(), make_teacher()]
    for model in models:
        with torch.no_grad():
            model.context.second.parametrizations.weight.original0.zero_()  # type: ignore[union-attr]
            model.context.second.bias.zero_()  # type: ignore[union-attr]
    return Distillation(*models, CONFIG)  # type: ignore[arg-type]


def test_health_warns_of_hiss_in_silence(objective: Distillation) -> None:
    report = check_health(objective, *(make_batch()[:2]), torch.zeros(2, 1, FRAMES * HOP).double())
    assert report.values["silence_dbfs"] > -40
    assert "hisses" in " ".join(report.warnings)


def test_health_warns_of_collapse(objective: Distillation) -> None:
    with torch.no_grad():
        for network in objective.student.parts.networks:
            network.head.bias[1] = -7.0
    assert "at the floor" in health_warnings(objective)
