"""The mathematics of the models that come with the project, in float64, on real speech."""

import copy
import itertools

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from data import log_mel
from distill import divergence, gaussian_kl
from distill.losses.divergence import has_closed_form
from flows.model_folder import SHIPPED
from pipelines.workspace import mel_of
from student import Student
from teacher import Teacher
from tests.shipped import FIRST, STUDENTS, TEACHERS, clip, noise, shipped
from tests.speech import speech


@pytest.fixture(params=TEACHERS)
def teacher(request: pytest.FixtureRequest) -> Teacher:
    model = shipped(request.param)
    assert isinstance(model, Teacher)
    return model


@pytest.fixture(params=STUDENTS)
def student(request: pytest.FixtureRequest) -> Student:
    model = shipped(request.param)
    assert isinstance(model, Student)
    return model


def test_a_teachers_density_is_the_product_of_its_conditionals(teacher: Teacher) -> None:
    waveform, mel = clip(teacher, 3)
    each = teacher.prediction(waveform, mel).log_prob(waveform)
    torch.testing.assert_close(teacher.log_prob(waveform, mel), each.sum((1, 2)))


def test_a_teachers_last_conditional_integrates_to_one(teacher: Teacher) -> None:
    waveform, mel = clip(teacher, 1)
    prediction = teacher.prediction(waveform, mel)
    before = prediction.log_prob(waveform)[..., :-1].sum()
    width = 12 * float(prediction.log_std[..., -1].exp())
    middle = float(waveform[..., -1])
    places = torch.linspace(middle - width, middle + width, 401, dtype=torch.float64)
    rows = waveform.repeat(len(places), 1, 1)
    rows[:, 0, -1] = places
    found = teacher.log_prob(rows, mel.expand(len(places), -1, -1)) - before
    assert float(found.exp().sum() * (places[1] - places[0])) == pytest.approx(1, abs=1e-6)


def test_a_teacher_reads_what_came_before_and_nothing_else(teacher: Teacher) -> None:
    waveform, mel = clip(teacher, 4)
    waveform = waveform.clone().requires_grad_()
    reach = teacher.receptive_field
    for t in (waveform.shape[-1] - 5, waveform.shape[-1] // 2 + 7):
        location, log_scale = teacher.predict(waveform, mel)
        measured = location[..., t].square().sum() + log_scale[..., t].square().sum()
        (gradient,) = torch.autograd.grad(measured, waveform)
        # Products of spectra leave rounding errors where there is no dependence.
        assert (gradient[..., t:].abs() < 1e-12).all()
        assert (gradient[..., : max(t - reach, 0)].abs() < 1e-12).all()
        assert (gradient[..., t - 1] != 0).all()


def test_a_teachers_samples_are_its_scaled_and_shifted_noise(teacher: Teacher) -> None:
    if teacher.config.distribution != "gaussian":
        pytest.skip("a mixture draws its component beside its noise")
    mel = clip(teacher, 2)[1]
    drawn = teacher.sample(mel, generator=torch.Generator().manual_seed(1))
    z = teacher.flow.base.sample(drawn, torch.Generator().manual_seed(1))
    if teacher.voicing is not None:
        frames, config = teacher.frames_of(mel, mel.shape[-1]), teacher.config
        voiced = config.voiced_temperature
        z = z * teacher.voicing.temperatures(frames, voiced, config.hop_length)
    loc, log_scale = teacher.predict(drawn, mel)
    torch.testing.assert_close((drawn - loc) * torch.exp(-log_scale), z, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("corpus", "name"), [("allison", "conf-getpin"), ("ru", "conf-enteringno")], ids=["seen", "not"]
)
def test_a_teacher_that_runs_free_neither_runs_away_nor_fades(
    teacher: Teacher, corpus: str, name: str
) -> None:
    # The first teacher of this project drew noise at up to 57 times the level of speakers it had
    # not been trained on, under a likelihood that was exact and low.
    mel = mel_of(teacher, SHIPPED)
    waveform = speech(mel.sample_rate, corpus, name).float()
    waveform = waveform[..., : waveform.shape[-1] // mel.hop_length * mel.hop_length]
    features = log_mel(waveform, mel)[..., : waveform.shape[-1] // mel.hop_length]
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        drawn = copy.deepcopy(teacher).float().sample(features, generator=generator)
        level = float(drawn.square().mean().sqrt() / waveform.square().mean().sqrt())
        assert 0.7 < level < 1.4
        assert float(drawn.abs().max()) < 1.5


def test_encoding_a_sample_recovers_its_noise(student: Student) -> None:
    mel, z = clip(student, 2)[1], noise(student, 1, 2)
    waveform = student(z, mel).waveform
    found = student.encode(waveform, mel)
    torch.testing.assert_close(student(found, mel).waveform, waveform, rtol=0, atol=1e-9)
    # frame-22k has learned from recordings without sound above 8 kHz: it draws next to nothing
    # there, from which the noise is recovered with the rounding amplified.
    is_banded = mel_of(student, SHIPPED).sample_rate == 22050
    torch.testing.assert_close(found, z, rtol=0, atol=1e-3 if is_banded else 1e-7)


def test_a_students_scales_are_its_jacobians_diagonal(student: Student) -> None:
    mel, z = clip(student, 1)[1], noise(student, 1, 1)
    jacobian = torch.autograd.functional.jacobian(
        lambda flat: student(flat.view_as(z), mel).waveform.flatten(), z.flatten()
    )
    frame = torch.arange(z.shape[-1]) // student.config.frame_length
    assert (jacobian[frame[:, None] < frame] == 0).all()
    log_det = torch.linalg.slogdet(jacobian).logabsdet
    torch.testing.assert_close(student(z, mel).log_scale.sum(), log_det)


def test_a_students_density_is_the_product_of_its_conditionals(student: Student) -> None:
    mel, z = clip(student, 2)[1], noise(student, 1, 2)
    sample = student(z, mel)
    scale = sample.log_scale.exp()
    each = sample.base.log_prob((sample.waveform - sample.loc) / scale) - sample.log_scale
    density = student.log_prob(sample.waveform, mel)
    torch.testing.assert_close(each.sum((1, 2)), density)


def test_a_students_conditionals_depend_on_earlier_samples_alone(student: Student) -> None:
    mel, z = clip(student, 2)[1], noise(student, 1, 2)
    before = student(z, mel)
    t = z.shape[-1] // 2 + 3  # within a frame of a frame student
    changed = before.waveform.clone()
    changed[..., t:] += 0.01
    after = student(student.encode(changed, mel), mel)
    for name in ("loc", "log_scale"):
        first, second = getattr(before, name), getattr(after, name)
        torch.testing.assert_close(first[..., : t + 1], second[..., : t + 1])
    assert not torch.allclose(before.loc[..., t + 1 :], after.loc[..., t + 1 :])


def test_a_batch_gives_each_clip_the_result_it_has_alone(
    student: Student, teacher: Teacher
) -> None:
    mels = torch.cat([clip(student, 3, first)[1] for first in (10, FIRST, 100)])
    z = noise(student, 3, 3)
    batch = student(z, mels)
    log_prob = teacher.log_prob(batch.waveform, mels)
    for i in range(3):
        row = slice(i, i + 1)
        alone = student(z[row], mels[row])
        for name in ("waveform", "loc", "log_scale"):
            torch.testing.assert_close(getattr(batch, name)[row], getattr(alone, name))
        torch.testing.assert_close(log_prob[row], teacher.log_prob(alone.waveform, mels[row]))


@pytest.mark.slow
def test_the_closed_form_is_the_divergence_of_whole_sequences(
    student: Student, teacher: Teacher
) -> None:
    rows = 96
    mel = clip(student, 2)[1].expand(rows, -1, -1)
    with torch.no_grad():
        sample = student(noise(student, rows, 2), mel)
        if not has_closed_form(sample, teacher):
            pytest.skip("no closed form")
        closed = divergence(sample, teacher, mel, "closed_form")[0].double().sum((1, 2))
        log_q = Normal(sample.loc, sample.log_scale.exp()).log_prob(sample.waveform).sum((1, 2))
        drawn = log_q - teacher.log_prob(sample.waveform, mel)
    difference = closed - drawn
    assert abs(float(difference.mean())) < 4 * float(difference.std()) / rows**0.5
    # The two are not equal draw by draw, only on average.
    assert float(difference.std()) > 1


@pytest.mark.slow
def test_the_divergences_gradient_passes_through_the_teachers_input(
    student: Student, teacher: Teacher
) -> None:
    mel, z = clip(student, 2)[1], noise(student, 1, 2)
    if not has_closed_form(student(z, mel), teacher):
        pytest.skip("no closed form")
    weights = [p for p in student.flow.parameters() if p.dtype == torch.float64]

    def kl() -> Tensor:
        sample = student(z, mel)
        p = teacher.predict(sample.waveform, mel)
        return gaussian_kl(sample.loc, sample.log_scale, *p).sum()

    try:
        for weight in weights:
            weight.requires_grad_()
        gradients = torch.autograd.grad(kl(), weights, allow_unused=True)
    finally:
        for weight in weights:
            weight.requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        along = [torch.randn(w.shape, generator=generator, dtype=w.dtype) for w in weights]
        slope = sum(
            float((g * d).sum()) for g, d in zip(gradients, along, strict=True) if g is not None
        )
        values, step = [], 1e-7  # a larger step crosses a bend of a leaky ReLU
        for sign in (1, -2, 1):
            for weight, direction in zip(weights, along, strict=True):
                weight.add_(direction, alpha=sign * step)
            values.append(float(kl()))
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(slope, rel=1e-4)


def test_gradients_of_the_conditionals_in_float32_are_those_in_float64(student: Student) -> None:
    # In a frame student, the gradients pass through a QR decomposition for each frame.
    mel, z = clip(student, 2)[1], noise(student, 1, 2)
    weighting = torch.randn(2, *z.shape, generator=torch.Generator().manual_seed(3))
    found = []
    for dtype in (torch.float64, torch.float32):
        given = z.to(dtype).requires_grad_()
        sample = student.to(dtype)(given, mel.to(dtype))
        total = (weighting[0] * sample.loc + weighting[1] * sample.log_scale).sum()
        found.append(torch.autograd.grad(total, given)[0].double())
    student.double()
    exact, rounded = found
    assert float((rounded - exact).norm() / exact.norm()) < 1e-3


@pytest.mark.slow
def test_a_long_stream_is_the_whole(student: Student) -> None:
    mel = mel_of(student, SHIPPED)
    features = log_mel(speech(mel.sample_rate), mel).repeat(1, 1, 4)
    sizes = itertools.cycle([1, 7, 2])
    for dtype, decibels in ((torch.float64, 160.0), (torch.float32, 60.0)):
        frames = features.to(dtype)
        model = student.to(dtype)
        whole = model.sample(frames, generator=torch.Generator().manual_seed(0))
        pieces, start = [], 0
        while start < frames.shape[-1]:
            pieces.append(frames[..., start : start + next(sizes)])
            start += pieces[-1].shape[-1]
        streamed = torch.cat(
            list(model.stream(pieces, generator=torch.Generator().manual_seed(0))), -1
        )
        error = (streamed - whole).square().mean() / whole.square().mean()
        assert 10 * float(error.log10()) < -decibels
    student.double()


@pytest.mark.slow
def test_a_clip_from_the_middle_of_speech_starts_and_ends_at_its_level(student: Student) -> None:
    # Before a clip's start, networks and filters read zeros, which never precede speech.
    mel = mel_of(student, SHIPPED)
    features, hop, frames = log_mel(speech(mel.sample_rate), mel).float(), mel.hop_length, 16
    model = student.float()

    def powers(part: Tensor, seed: int) -> Tensor:
        sample = model.sample(part, generator=torch.Generator().manual_seed(seed))
        return sample[0, 0].unflatten(0, (-1, hop)).square().mean(1)

    whole = torch.stack([powers(features, seed) for seed in range(8)]).mean(0)
    loud = [n for n in range(20, len(whole) - 30, 4) if whole[n : n + frames].min() > 1e-4]
    assert len(loud) >= 10
    found = torch.stack(
        [powers(features[..., n : n + frames], n + 200 * k) for n in loud for k in (0, 1)]
    )
    expected = torch.stack([whole[n : n + frames] for n in loud]).mean(0)
    ratio = found.mean(0) / expected
    student.double()
    # No pulse falls before a clip: some milliseconds of its first frame's sound are missing.
    milliseconds = 1000 * hop / mel.sample_rate * (1 - ratio).abs()
    assert float(milliseconds[0]) < 6.5  # of 16 milliseconds: -2.3 dB
    assert float(milliseconds[-1]) < 6.5
    assert float(10 * ratio[1:-1].log10().abs().max()) < 1


@pytest.mark.slow
def test_compiled_samples_equal_the_float64_flows(student: Student) -> None:
    mel = mel_of(student, SHIPPED)
    features = log_mel(speech(mel.sample_rate), mel)[..., :60]
    single = student.float().sample(features.float(), generator=torch.Generator().manual_seed(0))
    frame = torch.empty(1, 1, mel.hop_length)
    generator = torch.Generator().manual_seed(0)
    z = torch.cat([student.flow.base.sample(frame, generator) for _ in range(60)], -1).double()
    exact = student.double()(z, features).waveform
    error = (single - exact).square().mean() / exact.square().mean()
    assert 10 * float(error.log10()) < -60
