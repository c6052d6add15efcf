"""The voice of a whole student: its samples, density and settings."""

import dataclasses

import pytest
import torch

from flows.transforms.context_shift import HEARD
from student import ExcitationConfig, ExcitedContext, Student
from student.export import WholeStudent
from student.voice.filters import FINE, LOUDER
from tests.models import HOP, VOICED_STUDENT, make_mel, make_student


def test_a_voiced_students_sample_holds_its_voice_and_trains_it() -> None:
    student, mel = make_student(config=VOICED_STUDENT), make_mel()
    z = torch.zeros(2, 1, 6 * HOP, dtype=torch.float64)
    assert isinstance(student.context, ExcitedContext)
    assert student.context.voice is not None
    with torch.no_grad():
        student.context.predictor.head.bias[0] = 9.0
        for network in student.parts.networks:
            for layer in (network.head, network.frame_params):
                layer.weight.zero_()
            network.head.bias.zero_()
    waveform = student(z, mel).waveform
    voice = student.frames_of(mel, 6).voice
    assert voice is not None
    torch.testing.assert_close(waveform, student.parts.fold.inverse(voice)[0])
    waveform.square().sum().backward()
    assert student.context.voice.heads[0].bias.grad.abs().min() > 0
    assert student.context.predictor.head.weight.grad is None


def test_breath_is_the_gain_of_the_aperiodic_noise() -> None:
    student, frames = make_student(config=VOICED_STUDENT), 60
    # The two halves have different frames, and one half is voiced.
    mel = make_mel(frames=2).repeat_interleave(frames // 2, -1)
    z = torch.randn(2, 1, frames * HOP, generator=torch.Generator().manual_seed(3)).double()
    assert isinstance(student.context, ExcitedContext)
    assert student.context.predictor is not None
    with torch.no_grad():
        voicing = student.context.pitch(student.context.hidden(mel, frames)).voicing
        student.context.predictor.head.bias[0] -= voicing[0, [0, -1]].mean()
    before = student(z, mel)
    student.set_breath(0.25)
    after = student(z, mel)
    assert before.voice is not None
    assert after.voice is not None
    heard = before.voice.abs() > HEARD
    beside = heard.unflatten(-1, (-1, VOICED_STUDENT.frame_length)).any(-1)
    gain = (
        torch.where(beside, 0.25, 1.0).double().repeat_interleave(VOICED_STUDENT.frame_length, -1)
    )
    assert 0 < float(beside.double().mean()) < 1
    torch.testing.assert_close(
        after.waveform - after.voice, gain * (before.waveform - before.voice)
    )
    torch.testing.assert_close(after.log_scale, before.log_scale + gain.log())
    # The density follows: the sample's is the noise's, less the log-determinant.
    expected = (student.flow.base.log_prob(z) - after.log_scale).sum((1, 2))
    torch.testing.assert_close(student.log_prob(after.waveform, mel), expected)
    assert Student.from_config(student.config_dict()).config.excitation.breath == 0.25


def test_an_impossible_breath_is_refused() -> None:
    for breath in (0.0, 1.5):
        with pytest.raises(ValueError, match=rf"excitation\.breath is {breath}"):
            make_student(config=VOICED_STUDENT).set_breath(breath)
    with pytest.raises(ValueError, match="1 without a voice"):
        ExcitationConfig(kind="harmonic", breath=0.5)


def test_an_untrained_filtered_student_has_the_wanted_deviation_beside_its_voice() -> None:
    config = dataclasses.replace(VOICED_STUDENT, filter_order=5)
    torch.manual_seed(0)
    student = Student(config)
    student.set_initial_std(0.02)
    with torch.no_grad():
        sample = student(torch.randn(1, 1, 500 * HOP), torch.randn(1, config.num_mels, 500))
    assert sample.voice is not None
    assert float((sample.waveform - sample.voice).std()) == pytest.approx(0.02, rel=0.05)


def test_sharpening_deepens_only_the_fine_spectrum_of_a_voice() -> None:
    config = dataclasses.replace(
        VOICED_STUDENT,
        filter_order=5,
        excitation=dataclasses.replace(VOICED_STUDENT.excitation, voice_order=2 * FINE),
    )
    student, mel = make_student(config=config), make_mel()
    assert isinstance(student.context, ExcitedContext)
    before = student.context.filters(student.context.hidden(mel, 6))
    student.set_sharpness(0.2)
    after = student.context.filters(student.context.hidden(mel, 6))
    torch.testing.assert_close(after.voice[..., FINE:], 1.2 * before.voice[..., FINE:])
    torch.testing.assert_close(after.voice[..., 1:FINE], before.voice[..., 1:FINE])
    torch.testing.assert_close(after.voice[..., 0], before.voice[..., 0] - 0.2 * LOUDER)
    torch.testing.assert_close(after.breath, before.breath)
    torch.testing.assert_close(after.noise, before.noise)
    assert Student.from_config(student.config_dict()).config.excitation.sharpness == 0.2


@pytest.mark.parametrize("sharpness", [-0.1, 1.5])
def test_an_impossible_sharpness_is_refused(sharpness: float) -> None:
    with pytest.raises(ValueError, match=rf"excitation\.sharpness is {sharpness}, expected 0 to 1"):
        make_student(config=VOICED_STUDENT).set_sharpness(sharpness)
    with pytest.raises(ValueError, match="0 without a voice"):
        make_student().set_sharpness(0.1)


def test_a_student_in_training_has_its_whole_breath_and_no_sharpness() -> None:
    excitation = dataclasses.replace(VOICED_STUDENT.excitation, voice_order=2 * FINE)
    plain = make_student(config=dataclasses.replace(VOICED_STUDENT, excitation=excitation))
    chosen = dataclasses.replace(excitation, breath=0.5, sharpness=0.3)
    student = Student(dataclasses.replace(VOICED_STUDENT, excitation=chosen)).to(torch.float64)
    student.load_state_dict(plain.state_dict())
    z, mel = torch.randn(2, 1, 6 * HOP).double(), make_mel()
    drawn = student(z, mel).waveform
    in_training = student.train()(z, mel).waveform
    torch.testing.assert_close(in_training, plain(z, mel).waveform, rtol=0, atol=0)
    assert not torch.equal(drawn, in_training)
    torch.testing.assert_close(student.eval()(z, mel).waveform, drawn, rtol=0, atol=0)


def test_an_export_draws_with_the_breath_of_the_configuration() -> None:
    student = make_student(config=VOICED_STUDENT)
    student.set_breath(0.7)
    WholeStudent(student.train())
    assert student.parts.voice is not None
    assert student.parts.voice.gain == 0.7
