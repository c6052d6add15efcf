"""The frame student: it draws whole frames, and has a distribution for each sample."""

import dataclasses
import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from distill import gaussian_kl
from student import Student, StudentConfig, WholeStudent
from student.frame import sample_by_sample
from student.rendering import FRAMES_AT_ONCE, draw_frames
from tests.models import (
    EXCITED_STUDENT,
    FRAME_STUDENT,
    HOP,
    STUDENT,
    VOICED_STUDENT,
    compute_taps_by_transforms,
    make_mel,
    make_student,
)

R, FRAMES = FRAME_STUDENT.frame_length, 6
CONFIGS = {
    "plain": FRAME_STUDENT,
    "filtered": dataclasses.replace(FRAME_STUDENT, filter_order=5),
    "excited": EXCITED_STUDENT,
    "excited_and_filtered": dataclasses.replace(EXCITED_STUDENT, filter_order=5),
    "voiced": VOICED_STUDENT,
    "voiced_and_filtered": dataclasses.replace(VOICED_STUDENT, filter_order=5),
    "voiced_single_samples": dataclasses.replace(
        VOICED_STUDENT, frame_length=1, filter_order=5, flow_layers=(2, 1)
    ),
    "one_step": dataclasses.replace(FRAME_STUDENT, flow_layers=(2,)),
    "frame_is_hop": dataclasses.replace(FRAME_STUDENT, frame_length=HOP),
}


@pytest.fixture(params=CONFIGS, ids=list(CONFIGS))
def student(request: pytest.FixtureRequest) -> Student:
    return make_student(config=CONFIGS[request.param])


def noise(batch: int = 2, frames: int = FRAMES, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 1, frames * HOP, generator=generator, dtype=torch.float64)


def jacobian(student: Student, z: Tensor, mel: Tensor) -> Tensor:
    """Return the Jacobian of one waveform with respect to its noise, (T, T)."""
    return torch.autograd.functional.jacobian(
        lambda flat: student(flat.view_as(z), mel).waveform.flatten(), z.flatten()
    )


def test_inverse_recovers_the_noise(student: Student) -> None:
    mel, z = make_mel(), noise()
    torch.testing.assert_close(student.encode(student(z, mel).waveform, mel), z)


def test_jacobian_is_triangular_in_frames_and_its_log_det_that_of_the_scales(
    student: Student,
) -> None:
    mel, z = make_mel(batch=1), noise(batch=1)
    found = jacobian(student, z, mel)
    frame = torch.arange(z.shape[-1]) // student.config.frame_length
    assert found[frame[:, None] < frame].abs().max() == 0
    sample = student(z, mel)
    log_det = torch.linalg.slogdet(found).logabsdet
    torch.testing.assert_close(sample.log_scale.sum(), log_det)
    torch.testing.assert_close(sum(s.sum() for s in sample.flow_log_scales), log_det)


def test_density_of_a_sample_equals_its_own_distributions(student: Student) -> None:
    mel, z = make_mel(), noise()
    sample = student(z, mel)
    log_prob = Normal(sample.loc, sample.log_scale.exp()).log_prob(sample.waveform)
    flow = student.log_prob(sample.waveform, mel)
    torch.testing.assert_close(log_prob.sum((1, 2)), flow)


def test_each_samples_distribution_is_conditional_in_the_frames_gaussian() -> None:
    # An independent way: the Jacobian's covariance, and the textbook formula for conditioning.
    student, mel, z = make_student(config=FRAME_STUDENT), make_mel(batch=1), noise(batch=1)
    sample = student(z, mel)
    for n in (0, 3):
        now = slice(n * R, (n + 1) * R)
        block = jacobian(student, z, mel)[now, now]
        covariance = block @ block.T
        x = sample.waveform[0, 0, now]
        mean = x - block @ z[0, 0, now]
        for i in range(R):
            weights = torch.linalg.solve(covariance[:i, :i], covariance[:i, i])
            loc = mean[i] + weights @ (x[:i] - mean[:i])
            variance = covariance[i, i] - weights @ covariance[:i, i]
            torch.testing.assert_close(sample.loc[0, 0, n * R + i], loc)
            torch.testing.assert_close(sample.log_scale[0, 0, n * R + i], variance.log() / 2)


def test_location_and_scale_depend_on_earlier_samples_only(student: Student) -> None:
    mel, z = make_mel(), noise()
    before = student(z, mel)
    t = 5 * HOP // 2 + 1  # in the middle of a frame
    changed = before.waveform.detach().clone()
    changed[..., t:] += 0.1
    after = student(student.encode(changed, mel), mel)
    for name in ("loc", "log_scale"):
        first, second = getattr(before, name), getattr(after, name)
        torch.testing.assert_close(first[..., : t + 1], second[..., : t + 1])
    assert not torch.allclose(before.loc[..., t + 1 :], after.loc[..., t + 1 :])


def test_divergences_of_samples_sum_to_the_frames_divergence() -> None:
    draws, steps, r = 40_000, 2, 3
    generator = torch.Generator().manual_seed(0)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    z = randn(draws, r, 1)
    log_scales = [(0.5 * randn(r, 1)).expand_as(z) for _ in range(steps)]
    rotation = torch.linalg.qr(randn(r, r)).Q
    b = randn(r, 1).expand_as(z)
    loc, log_scale = sample_by_sample(z, b, log_scales, [rotation])
    first, last = (torch.diag(s[0, :, 0].exp()) for s in log_scales)
    matrix = last @ rotation @ first
    x = b + matrix @ z
    # The other density is sample by sample, as a teacher's.
    lower = torch.eye(r).double() + 0.3 * randn(r, r).tril()
    m = randn(r, 1)
    earlier = lower.tril(-1) @ torch.linalg.solve_triangular(lower, x - m, upper=False)
    kl = gaussian_kl(loc, log_scale, m + earlier, lower.diagonal().abs().log()[:, None])
    ours = MultivariateNormal(b[0, :, 0], matrix @ matrix.T)
    other = MultivariateNormal(m[:, 0], lower @ lower.T)
    total = kl.sum((1, 2))
    error = float(total.std()) / draws**0.5
    assert abs(float(total.mean() - kl_divergence(ours, other))) < 4 * error


def test_the_rotations_are_fixed_and_follow_the_seed() -> None:
    first, second, other = (make_student(seed, FRAME_STUDENT) for seed in (0, 0, 1))
    matrices = [[q.matrix() for q in s.parts.rotations] for s in (first, second, other)]
    assert len(matrices[0]) == len(FRAME_STUDENT.flow_layers) - 1
    assert not any(p.requires_grad for q in first.parts.rotations for p in q.parameters())
    torch.testing.assert_close(matrices[0], matrices[1], rtol=0, atol=0)
    assert not torch.allclose(matrices[0][0], matrices[2][0])
    assert not torch.allclose(matrices[0][0], matrices[0][1])


def test_receptive_field_counts_whole_frames() -> None:
    student = make_student(config=FRAME_STUDENT)
    frames = student.receptive_field // HOP + 3
    z, mel = noise(batch=1, frames=frames).requires_grad_(), make_mel(batch=1, frames=frames)
    t = frames * HOP - 1  # the last sample of a frame
    (gradient,) = torch.autograd.grad(student(z, mel).loc[0, 0, t], z)
    reach = gradient[0, 0].abs() > 0
    first = t - student.receptive_field
    assert not reach[:first].any()
    assert reach[first : t - R].all()


@pytest.mark.parametrize("std", [0.01, 0.1])
def test_samples_of_an_untrained_student_have_the_wanted_deviation(std: float) -> None:
    torch.manual_seed(0)
    student = Student(FRAME_STUDENT)
    student.set_initial_std(std)
    x = student.sample(make_mel(batch=4, frames=60).float())
    assert float(x.std()) == pytest.approx(std, rel=0.15)


@pytest.mark.parametrize("sizes", [[1], [2, 0, 7, 1], [2 * FRAMES_AT_ONCE + 2, 1]])
def test_streamed_pieces_join_to_the_whole(student: Student, sizes: list[int]) -> None:
    frames = 2 * FRAMES_AT_ONCE + 3
    mel = make_mel(frames=frames)
    chunks = []
    for size in itertools.cycle(sizes):
        start = sum(chunk.shape[-1] for chunk in chunks)
        if start == frames:
            break
        chunks.append(mel[..., start : start + size])
    drawn = list(student.stream(chunks, generator=torch.Generator().manual_seed(1)))
    assert max(piece.shape[-1] for piece in drawn) <= FRAMES_AT_ONCE * HOP
    z = draw_frames(student.flow.base, mel, frames, HOP, torch.Generator().manual_seed(1))
    torch.testing.assert_close(torch.cat(drawn, -1), student(z, mel).waveform)


def test_latency_is_the_margin_and_the_frame_itself(student: Student) -> None:
    mel, margin = make_mel(frames=9), student.config.context_margin
    lengths = [piece.shape[-1] // HOP for piece in student.stream(mel.split(1, -1))]
    assert lengths == [1] * (9 - margin) + [margin]


def test_the_exported_function_equals_the_student(
    student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute_taps_by_transforms(monkeypatch)
    mel, z = make_mel(), noise()
    expected = student(z, mel).waveform.detach()
    torch.testing.assert_close(WholeStudent(student)(z, mel), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("sizes", [[1], [3], [11]])
def test_compiled_sampling_equals_pytorchs(student: Student, sizes: list[int]) -> None:
    student, mel = student.float(), make_mel(frames=11).float()
    assert student.choose_engine()[0] == "compiled"
    drawn = {}
    for engine in ("compiled", "torch"):
        seed = torch.Generator().manual_seed(1)
        pieces = student.stream(mel.split(sizes[0], -1), generator=seed, engine=engine)
        drawn[engine] = torch.cat(list(pieces), -1)
    torch.testing.assert_close(drawn["compiled"], drawn["torch"], rtol=1e-5, atol=1e-5)


def test_a_saved_student_draws_equal_samples(student: Student, tmp_path: Path) -> None:
    student.float().save_pretrained(tmp_path)
    loaded, mel = Student.from_pretrained(tmp_path), make_mel().float()
    assert loaded.config == student.config
    drawn = [s.sample(mel, generator=torch.Generator().manual_seed(1)) for s in (student, loaded)]
    torch.testing.assert_close(*drawn)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"frame_length": 3}, r"frame_length is 3, expected a divisor of the hop of 8 samples"),
        ({"frame_length": 0}, r"student\.frame_length is 0"),
        ({"frame_length": 2048, "hop_length": 2048}, "at most 1024"),
        ({"frame_length": 4, "base": "logistic"}, r"student\.base is 'logistic', expected 'gauss"),
    ],
)
def test_config_errors_name_the_field(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(STUDENT, **values)


def test_a_config_without_frame_length_is_a_student_of_single_samples() -> None:
    old = StudentConfig()
    assert (old.frame_length, old.excitation.kind) == (1, "none")
    weights = {config: set(Student(config).state_dict()) for config in (STUDENT, FRAME_STUDENT)}
    assert "flow.transform.transforms.0.transform.conditioner.input_std" in weights[STUDENT]
    assert any("vectors" in name for name in weights[FRAME_STUDENT])
    assert not any("vectors" in name for name in weights[STUDENT])
