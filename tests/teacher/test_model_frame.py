"""The frame teacher: a linear predictor, frames of its errors, and densities per sample."""

import dataclasses
import inspect
import re

import pytest
import torch

from flows import StandardNormal
from flows.transforms.prediction_error import LARGEST_PREDICTION_GAIN, bounded_reflection
from student import Student
from teacher import Teacher, TeacherConfig, noise_like, training_log_probs
from tests.models import FRAME_TEACHER, HOP, TEACHER, make_mel, make_teacher

FRAMES = 6
CONFIGS = {
    "frames": FRAME_TEACHER,
    "frames_without_predictor": dataclasses.replace(FRAME_TEACHER, filter_order=0),
    "frames_of_a_hop": dataclasses.replace(
        FRAME_TEACHER,
        frame_length=8,
        wavenet=dataclasses.replace(
            FRAME_TEACHER.wavenet,
            pitch=dataclasses.replace(FRAME_TEACHER.wavenet.pitch, shortest_lag=8),
        ),
    ),
    "predictor_before_single_samples": dataclasses.replace(FRAME_TEACHER, frame_length=1),
    "mixture": dataclasses.replace(FRAME_TEACHER, distribution="mixture", num_components=3),
}


@pytest.fixture(params=CONFIGS, ids=list(CONFIGS))
def teacher(request: pytest.FixtureRequest) -> Teacher:
    return make_teacher(config=CONFIGS[request.param])


def waveform(batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return 0.3 * torch.randn(batch, 1, FRAMES * HOP, generator=generator, dtype=torch.float64)


def test_density_is_the_product_of_the_samples_distributions(teacher: Teacher) -> None:
    x, mel = waveform(), make_mel()
    found = teacher.prediction(x, mel).log_prob(x)
    torch.testing.assert_close(found.sum((1, 2)), teacher.log_prob(x, mel))


@pytest.mark.parametrize("name", ["frames", "predictor_before_single_samples"])
def test_location_and_scale_are_those_of_the_samples_density(name: str) -> None:
    teacher, x, mel = make_teacher(config=CONFIGS[name]), waveform(), make_mel()
    prediction = teacher.prediction(x, mel)
    assert prediction.log_gain.abs().min() > 1e-3  # else its sign would not matter
    location, log_scale = prediction.location_and_log_scale()
    expected = torch.distributions.Normal(location, log_scale.exp()).log_prob(x)
    torch.testing.assert_close(prediction.log_prob(x), expected)
    torch.testing.assert_close(prediction.log_std, log_scale)


def test_a_samples_distribution_integrates_to_one_and_reads_its_past_alone() -> None:
    teacher, mel = make_teacher(config=FRAME_TEACHER), make_mel(batch=1)
    x, t = waveform(1), 23
    location, log_scale = teacher.predict(x, mel)
    grid = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    values = (location + log_scale.exp() * grid[:, None, None])[:, :, t]
    # A sample's distribution is a ratio: the density up to it, over the density before it.
    many = x.repeat(len(grid), 1, 1)
    many[:, 0, t] = values[:, 0]
    up_to = teacher.prediction(many, mel.expand(len(grid), -1, -1)).log_prob(many)[..., : t + 1]
    log_density = up_to.sum((1, 2))
    width = float(log_scale.detach()[0, 0, t].exp()) * float(grid[1] - grid[0])
    before = teacher.prediction(x, mel).log_prob(x)[..., :t].sum()
    total = (log_density - before).exp().sum().detach()
    assert float(total) * width == pytest.approx(1.0, abs=1e-6)


def test_no_sample_is_predicted_from_itself_or_later_ones(teacher: Teacher) -> None:
    x, mel = waveform(1).requires_grad_(), make_mel(batch=1)
    prediction = teacher.prediction(x, mel)
    for t in (HOP, 2 * HOP + 5, FRAMES * HOP - 1):
        for values in (prediction.log_std, prediction.log_prob(torch.zeros_like(x))):
            (gradient,) = torch.autograd.grad(values[0, 0, t], x, retain_graph=True)
            # Products of spectra leave a rounding error where there is no dependence.
            assert gradient[..., t:].abs().max() < 1e-12
            too_early = gradient[..., : max(0, t - teacher.receptive_field)]
            assert (too_early.abs() < 1e-12).all()
            assert gradient[..., :t].abs().max() > 1e-6


def test_sampling_inverts_the_likelihoods_transform(teacher: Teacher) -> None:
    mel = make_mel()
    x = teacher.sample(mel, generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    if not isinstance(teacher.flow.base, StandardNormal):
        return  # a mixture draws a component, not the inverse of its CDF: see test_mixture
    noise = torch.empty_like(x).normal_(generator=generator)
    z, _ = teacher.flow.transform(x, teacher.context(mel, mel.shape[-1]))
    torch.testing.assert_close(z, noise)


def test_compiled_sampling_draws_what_the_steps_draw(teacher: Teacher) -> None:
    mel = make_mel()
    wide = teacher.sample(mel, generator=torch.Generator().manual_seed(3), engine="torch")
    narrow = teacher.float()
    drawn = narrow.sample(mel.float(), 1.0, torch.Generator().manual_seed(3), "compiled")
    stepped = narrow.sample(mel.float(), 1.0, torch.Generator().manual_seed(3), "torch")
    torch.testing.assert_close(drawn, stepped, rtol=1e-3, atol=1e-3 * float(wide.abs().max()))


def test_a_stream_joins_to_the_whole(teacher: Teacher, monkeypatch: pytest.MonkeyPatch) -> None:
    mel = make_mel()
    whole = list(teacher.stream([mel], generator=torch.Generator().manual_seed(1)))
    monkeypatch.setattr("teacher.drawing.PIECE_SAMPLES", 2 * HOP)
    pieces = list(teacher.stream([mel], generator=torch.Generator().manual_seed(1)))
    assert (len(whole), len(pieces)) == (1, FRAMES // 2)
    torch.testing.assert_close(torch.cat(pieces, -1), whole[0])
    given = teacher.stream(mel.split(1, -1), generator=torch.Generator().manual_seed(1))
    assert torch.equal(torch.cat(list(given), -1), torch.cat(pieces, -1))
    with pytest.raises(ValueError, match="there are no conditioning frames"):
        next(teacher.stream([]))
    with pytest.raises(ValueError, match=r"expected \(B, 4, n\)"):
        next(teacher.stream(mel))  # a tensor in place of pieces


@pytest.mark.parametrize("name", ["sample", "stream"])
def test_a_student_takes_the_same_arguments(name: str) -> None:
    ours, theirs = (inspect.signature(getattr(model, name)) for model in (Teacher, Student))
    assert ours == theirs


def test_without_noise_training_maximises_the_likelihood(teacher: Teacher) -> None:
    x, mel = waveform(), make_mel()
    found, _ = training_log_probs(teacher, x, mel)
    torch.testing.assert_close(found, teacher.log_prob(x, mel))


def test_the_predictors_own_likelihood_is_that_of_white_noise() -> None:
    teacher, x, mel = make_teacher(config=FRAME_TEACHER), waveform(), make_mel()
    assert teacher.error_filter is not None
    errors, log_det = teacher.error_filter(x, teacher.context(mel, FRAMES))
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(errors).sum((1, 2)) + log_det
    torch.testing.assert_close(training_log_probs(teacher, x, mel)[1], expected)


def test_noise_on_the_past_changes_predictions_but_not_targets() -> None:
    # The last sample is in nobody's past: noise on it alone changes nothing.
    teacher, x, mel = make_teacher(config=FRAME_TEACHER), waveform(), make_mel()
    clean = teacher.log_prob(x, mel)
    last = torch.zeros_like(x)
    last[..., -1] = 1.0
    torch.testing.assert_close(training_log_probs(teacher, x, mel, last)[0], clean)
    first = torch.zeros_like(x)
    first[..., 0] = 1.0
    assert (training_log_probs(teacher, x, mel, first)[0] - clean).abs().min() > 1e-3


def test_noise_has_the_waveforms_level() -> None:
    x = torch.cat([waveform(), 0.01 * waveform()], -1).repeat(1, 1, 500)
    noise = noise_like(x, torch.randn_like(x), HOP)
    parts = noise.unflatten(-1, (-1, 2, FRAMES * HOP))
    assert float(parts[..., 0, :].std()) == pytest.approx(0.3, rel=0.1)
    ends_of_quiet = parts[..., 1, -HOP:]  # the filter has forgotten the loud part
    assert float(ends_of_quiet.std()) < 0.02


def test_the_synthesis_filter_is_stable_for_any_parameters() -> None:
    # Reflection coefficients near 1 are stable, but their gains can overflow.
    raw = 100 * torch.randn(50, 24, generator=torch.Generator().manual_seed(0))
    reflection = bounded_reflection(raw).double()
    gain = -0.5 * torch.log1p(-reflection.square()).sum(-1)
    assert float(gain.max()) <= LARGEST_PREDICTION_GAIN + 1e-3
    small = torch.full((1, 24), 0.2)
    torch.testing.assert_close(bounded_reflection(small), torch.tanh(small))
    teacher = make_teacher(config=dataclasses.replace(FRAME_TEACHER, filter_order=24)).float()
    assert teacher.error_filter is not None
    with torch.no_grad():
        teacher.error_filter.bias[1:] = 20 * torch.randn(24, 1)
    x = teacher.sample(make_mel(frames=40).float())
    assert torch.isfinite(x).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame_length": 3}, "teacher.frame_length is 3, expected a divisor of"),
        ({"frame_length": 0}, "teacher.frame_length is 0, expected a divisor of"),
        ({"filter_order": -1}, "teacher.filter_order is -1, expected 0 to 4096"),
        ({"past_noise": -0.1}, "teacher.past_noise is -0.1, expected at least 0"),
        ({"frame_length": 8}, "teacher.wavenet.pitch has shortest_lag 5 and update 8"),
        (
            {"distribution": "mixture", "discretised": True, "past_noise": 0.0},
            "teacher.discretised is true, expected false where teacher.filter_order",
        ),
        (
            {"wavenet": dataclasses.replace(TEACHER.wavenet, prediction_order=2)},
            "teacher.wavenet.prediction_order is 2, expected 0",
        ),
        (
            {
                "frame_length": 2,
                "wavenet": dataclasses.replace(TEACHER.wavenet, prediction_order=2),
            },
            "teacher.wavenet.prediction_order is 2, expected 0",
        ),
    ],
)
def test_config_errors_name_the_field(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        dataclasses.replace(FRAME_TEACHER, **changes)


def test_the_papers_teacher_is_the_default() -> None:
    config = TeacherConfig()
    assert (config.frame_length, config.filter_order, config.past_noise) == (1, 0, 0.0)
    assert Teacher(config).error_filter is None
