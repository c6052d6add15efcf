"""Every term of the objective: its models, its cost, and that it can be trained."""

from unittest import mock

import pytest
import torch

from distill import (
    Distillation,
    DistillationConfig,
    PerceptualConfig,
    SpectralConfig,
    divergence,
    forward_kl,
)
from dsp.mel import MelConfig, log_mel
from student import StudentConfig
from teacher import TeacherConfig
from tests.models import (
    HOP,
    LOGISTIC_STUDENT,
    MELS,
    MIXTURE_TEACHER,
    STUDENT,
    TEACHER,
    make_mel,
    make_student,
    make_teacher,
)

FRAMES = 20
SPECTRAL = SpectralConfig(fft_sizes=(64,), hop_lengths=(16,), win_lengths=(64,))
NOTHING = {"kl_weight": 0.0, "spectral_weight": 0.0, "power_weight": 0.0, "spectral": SPECTRAL}
PAIRS = [
    pytest.param(student, teacher, id=f"{student.base}-{teacher.distribution}")
    for student in (STUDENT, LOGISTIC_STUDENT)
    for teacher in (TEACHER, MIXTURE_TEACHER)
]


def only(**values: object) -> DistillationConfig:
    """Build an objective of only the given terms."""
    return DistillationConfig(**(NOTHING | values))


def make_objective(
    config: DistillationConfig,
    student: StudentConfig = STUDENT,
    teacher: TeacherConfig = TEACHER,
) -> Distillation:
    return Distillation(make_student(config=student), make_teacher(config=teacher), config)


def make_batch(batch: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    noise = torch.randn(batch, 1, FRAMES * HOP, generator=generator, dtype=torch.float64)
    recording = 0.1 * torch.randn(noise.shape, generator=generator, dtype=torch.float64)
    return noise, make_mel(batch, FRAMES), recording


@pytest.mark.parametrize(("student", "teacher"), PAIRS)
def test_monte_carlo_serves_every_pair_and_can_be_trained(
    student: StudentConfig, teacher: TeacherConfig
) -> None:
    config = only(kl_weight=1.0, regulariser_weight=0.0, kl_estimator="monte_carlo")
    assert_training_lowers(make_objective(config, student, teacher), "kl")


def test_monte_carlo_comes_near_the_closed_form() -> None:
    batch = make_batch()
    closed = make_objective(only(kl_weight=1.0))(*batch)
    config = only(kl_weight=1.0, kl_estimator="monte_carlo", num_draws=2000)
    drawn = make_objective(config)(*batch)
    for name in ("kl", "log_scale_regulariser"):
        torch.testing.assert_close(drawn[name], closed[name], rtol=0.02, atol=0.02)


def test_monte_carlo_takes_one_pass_of_the_teacher_whatever_the_draws() -> None:
    objective = make_objective(only(kl_weight=1.0, kl_estimator="monte_carlo", num_draws=7))
    teacher = objective.teacher
    with mock.patch.object(teacher.wavenet, "forward", wraps=teacher.wavenet.forward) as passes:
        objective(*make_batch())
    assert passes.call_count == 1


def test_monte_carlo_draws_follow_the_generator() -> None:
    objective = make_objective(only(kl_weight=1.0, kl_estimator="monte_carlo"))
    batch = make_batch()

    def kl(seed: int | None) -> float:
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        return float(objective(*batch, generator)["kl"].detach())

    assert kl(None) == kl(None)
    assert kl(1) == kl(1)
    assert kl(1) != kl(2)


@pytest.mark.parametrize(("student", "teacher"), PAIRS[1:])
def test_the_closed_form_is_refused_where_there_is_none(
    student: StudentConfig, teacher: TeacherConfig
) -> None:
    with pytest.raises(ValueError, match=r"kl_estimator is 'closed_form', which exists between"):
        make_objective(DistillationConfig(kl_estimator="closed_form"), student, teacher)


@pytest.mark.parametrize(
    ("config", "term"),
    [
        (only(stft_power_weight=1.0), "stft_power"),
        (only(perceptual_weight=1.0), "perceptual"),
        (
            only(perceptual_weight=1.0, perceptual=PerceptualConfig(distance="feature")),
            "perceptual",
        ),
        (only(contrastive_weight=1.0), "contrastive"),
        (only(contrastive_weight=1.0, kl_estimator="monte_carlo"), "contrastive"),
        (only(forward_kl_weight=1.0), "forward_kl"),
    ],
    ids=["stft_power", "style", "feature", "contrastive", "contrastive_drawn", "forward_kl"],
)
def test_a_few_steps_reduce_each_term(config: DistillationConfig, term: str) -> None:
    assert_training_lowers(make_objective(config), term)


def assert_training_lowers(objective: Distillation, term: str) -> None:
    batch = make_batch()
    before = objective(*batch)
    optimizer = torch.optim.Adam(objective.student.parameters(), lr=5e-3)
    for _ in range(25):
        optimizer.zero_grad()
        objective(*batch)["loss"].backward()
        optimizer.step()
    after = objective(*batch)
    assert after["loss"] < before["loss"]
    assert after[term] < before[term]
    assert all(parameter.grad is None for parameter in objective.teacher.parameters())


def test_all_terms_add_up_by_their_weights() -> None:
    config = only(
        kl_weight=0.5,
        spectral_weight=0.7,
        power_weight=0.9,
        stft_power_weight=0.2,
        perceptual_weight=0.3,
        contrastive_weight=0.4,
        forward_kl_weight=0.1,
    )
    terms = make_objective(config)(*make_batch())
    expected = (
        0.5 * (terms["kl"] + 4.0 * terms["log_scale_regulariser"])
        + 0.7 * (terms["spectral_convergence"] + terms["log_magnitude"])
        + 0.9 * terms["power"]
        + 0.2 * terms["stft_power"]
        + 0.3 * terms["perceptual"]
        + 0.4 * terms["contrastive"]
        + 0.1 * terms["forward_kl"]
    )
    torch.testing.assert_close(terms["loss"].double(), expected.double())


def test_terms_without_weight_have_no_gradient_and_costly_ones_no_value() -> None:
    terms = make_objective(only(spectral_weight=1.0))(*make_batch())
    assert terms["loss"].requires_grad
    assert not terms["kl"].requires_grad
    assert not terms["power"].requires_grad
    assert {"perceptual", "contrastive", "forward_kl"}.isdisjoint(terms)


def test_contrastive_compares_the_same_sample_under_the_neighbours_context() -> None:
    objective, (noise, mel, recording) = (
        make_objective(only(contrastive_weight=1.0, contrastive_limit=1e9)),
        make_batch(),
    )
    sample = objective.student(noise, mel)
    right = objective.score(sample, mel, recording)
    wrong = objective.score(sample, mel.flip(0), recording)
    expected = right["kl"] - 0.3 * wrong["kl"]
    torch.testing.assert_close(right["contrastive"], expected)


def test_a_single_clip_is_contrasted_with_another_part_of_itself() -> None:
    objective = make_objective(only(contrastive_weight=1.0, contrastive_limit=1e9))
    noise, mel, recording = make_batch(batch=1)
    sample = objective.student(noise, mel)
    right = objective.score(sample, mel, recording)
    later = torch.cat([mel[..., FRAMES // 2 :], mel[..., : FRAMES // 2]], -1)
    wrong = objective.score(sample, later, recording)
    torch.testing.assert_close(right["contrastive"], right["kl"] - 0.3 * wrong["kl"])


def test_forward_kl_is_the_difference_of_log_densities() -> None:
    student, teacher, (_, mel, recording) = make_student(), make_teacher(), make_batch()
    samples = 3 * HOP
    clip, features = recording[..., :samples], mel[..., :3]
    z = student.encode(clip, features)
    sample = student(z, features)
    log_q = torch.distributions.Normal(sample.loc, sample.log_scale.exp()).log_prob(clip)
    expected = teacher.log_prob(clip, features).mean() / samples - log_q.mean()
    torch.testing.assert_close(forward_kl(student, teacher, clip, features), expected)


@pytest.mark.parametrize("margins", [0, 1])
def test_forward_kl_sees_the_start_of_each_clip(margins: int) -> None:
    objective = make_objective(only(forward_kl_weight=1.0, forward_kl_frames=2))
    noise, _, recording = make_batch()
    mel = make_mel(2, FRAMES + 2 * margins)
    term = objective(noise, mel, recording)["forward_kl"]
    features = mel[..., : 2 + 2 * margins]
    clip = recording[..., : 2 * HOP]
    expected = forward_kl(objective.student, objective.teacher, clip, features)
    torch.testing.assert_close(term, expected)


def test_crepe_without_the_convention_is_refused() -> None:
    config = only(perceptual_weight=1.0, perceptual=PerceptualConfig(network="crepe"))
    with pytest.raises(ValueError, match="'crepe' needs the log-mel convention"):
        make_objective(config)


def test_only_the_student_is_ever_in_training_mode() -> None:
    objective = make_objective(only(perceptual_weight=1.0))
    objective.network = torch.nn.BatchNorm1d(1)  # type: ignore[assignment]
    for mode in (True, False):
        objective.train(mode)
        assert objective.training == objective.student.training == mode
        assert not objective.teacher.training
        assert not objective.network.training  # type: ignore[attr-defined]


@pytest.mark.parametrize("gain", [0.1, 0.0])
@pytest.mark.parametrize("name", ["stft_power", "perceptual", "spectral_convergence"])
def test_ratios_in_two_processes_are_the_whole_batchs(name: str, gain: float) -> None:
    # Each process has half of the batch, and sums of squares are added up over both.
    objective = make_objective(only(stft_power_weight=1.0, perceptual_weight=1.0))
    noise, mel, recording = make_batch()
    recording[1] *= 0.1  # halves of different weight
    recording *= gain / 0.1  # down to silence, whose power is raised to a floor
    sums: list[list[torch.Tensor]] = [[], []]
    halves = [(noise[i : i + 1], mel[i : i + 1], recording[i : i + 1]) for i in range(2)]
    for kept, half in zip(sums, halves, strict=True):
        objective.total = lambda values, kept=kept: kept.append(values) or values
        objective(*half)
    both = iter([a + b for a, b in zip(*sums, strict=True)])
    objective.total = lambda values: next(both)
    found = objective(*halves[0])[name]
    objective.total = None
    torch.testing.assert_close(found, objective(noise, mel, recording)[name])


def test_values_are_checked() -> None:
    for values, message in (
        ({"perceptual_weight": -1.0}, r"perceptual_weight is -1\.0, expected >= 0"),
        ({"num_draws": 0}, "num_draws is 0, expected at least 1"),
        ({"kl_estimator": "exact"}, "kl_estimator is 'exact'"),
        ({"contrastive_gamma": 1.0}, r"contrastive_gamma is 1\.0, expected 0 up to 1"),
    ):
        with pytest.raises(ValueError, match=message):
            DistillationConfig(**values)


@pytest.mark.parametrize(("student", "teacher"), PAIRS)
def test_divergence_takes_the_closed_form_where_there_is_one(
    student: StudentConfig, teacher: TeacherConfig
) -> None:
    models = make_student(config=student), make_teacher(config=teacher)
    noise, mel, _ = make_batch()
    sample = models[0](noise, mel)
    kl, regulariser = divergence(sample, models[1], mel, start=5)
    assert kl.shape == regulariser.shape == (2, 1, FRAMES * HOP - 5)
    drawn, _ = divergence(sample, models[1], mel, "monte_carlo", start=5)
    closed = student.base == teacher.distribution == "gaussian"
    assert torch.equal(kl, drawn) != closed
    if not closed:
        with pytest.raises(ValueError, match="no KL in closed form between"):
            divergence(sample, models[1], mel, "closed_form")


MEL = MelConfig(
    sample_rate=400, n_fft=16, hop_length=HOP, win_length=16, num_mels=MELS, fmax_hz=200.0
)


def test_the_mel_term_is_a_distance_of_frames_and_trains_alone() -> None:
    models = (make_student(config=STUDENT), make_teacher(config=TEACHER))
    objective = Distillation(*models, only(mel_weight=2.0), MEL)
    noise, mel, recording = make_batch()
    terms = objective(noise, mel, recording)
    sample = objective.student(noise, mel).waveform
    expected = (log_mel(sample, MEL) - log_mel(recording, MEL)).abs().mean()
    torch.testing.assert_close(terms["mel"], expected)
    torch.testing.assert_close(terms["loss"], 2 * expected)
    assert_training_lowers(objective, "mel")


def test_the_mel_term_needs_the_convention() -> None:
    with pytest.raises(ValueError, match="mel_weight needs the log-mel convention"):
        make_objective(only(mel_weight=1.0))
