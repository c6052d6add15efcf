"""The harmonic excitation: it follows the pitch, which has its own training."""

import dataclasses

import pytest
import torch

from student import ExcitationConfig, ExcitedContext, StudentConfig
from student.voice.pitch_predictor import BINS_PER_OCTAVE
from tests.models import EXCITED_STUDENT, HOP, VOICED_STUDENT, make_mel, make_student


def make_context() -> ExcitedContext:
    context = make_student(config=EXCITED_STUDENT).context
    assert isinstance(context, ExcitedContext)
    return context


def say_pitch(context: ExcitedContext, voicing: float, octaves: float) -> None:
    """Make a context predict one pitch, relative to the lowest, for any conditioning."""
    head = context.predictor.head
    assert head.bias is not None
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
        head.bias[0] = voicing
        head.bias[1 + round(octaves * BINS_PER_OCTAVE)] = 50.0


@pytest.mark.parametrize("config", [EXCITED_STUDENT, VOICED_STUDENT], ids=["harmonic", "voice"])
def test_an_unvoiced_excitation_does_not_depend_on_the_pitch(config: StudentConfig) -> None:
    student, mel = make_student(config=config), make_mel()
    assert isinstance(student.context, ExcitedContext)
    found = []
    for voicing, octaves in ((-9.0, 0.5), (-9.0, 1.0), (9.0, 1.0)):
        say_pitch(student.context, voicing, octaves)
        found.append(student.frames_of(mel, mel.shape[-1]).network)
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)
    assert not torch.allclose(found[1], found[2])


def test_the_sample_follows_the_pitch() -> None:
    # Otherwise every other test of the excited student could pass without an excitation.
    student, mel = make_student(config=EXCITED_STUDENT), make_mel()
    z = torch.zeros(2, 1, 6 * HOP, dtype=torch.float64)
    assert isinstance(student.context, ExcitedContext)
    waveforms = []
    for octaves in (0.5, 1.0):
        say_pitch(student.context, 5.0, octaves)
        waveforms.append(student(z, mel).waveform)
    assert not torch.allclose(*waveforms)


def test_the_waveforms_gradient_does_not_reach_the_pitch() -> None:
    student, mel = make_student(config=EXCITED_STUDENT), make_mel()
    assert isinstance(student.context, ExcitedContext)
    z = torch.zeros(2, 1, 6 * HOP, dtype=torch.float64)
    student(z, mel).waveform.square().sum().backward()
    head = student.context.predictor.head
    assert head.weight.grad is None
    assert student.context.join.weight.grad is not None
    student.context.pitch(student.context.hidden(mel, 6)).scores.sum().backward()
    assert head.weight.grad is not None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "pulses"}, "kind is 'pulses', expected 'none', 'harmonic' or 'voice'"),
        ({"voice_order": 0}, "voice_order is 0, expected at least 1"),
        ({"filters_per_frame": 0}, "filters_per_frame is 0, expected at least 1"),
        ({"pitch_channels": 0}, "pitch_channels is 0, expected at least 1"),
        ({"fmin_hz": 400.0}, r"fmin_hz 400\.0 and fmax_hz 400\.0"),
        ({"sample_rate": 1000}, "a quarter of sample_rate 1000"),
    ],
)
def test_config_errors_name_the_field(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ExcitationConfig(**values)


def test_filters_are_made_for_whole_steps() -> None:
    excitation = dataclasses.replace(VOICED_STUDENT.excitation, filters_per_frame=3)
    with pytest.raises(ValueError, match=r"filters_per_frame is 3, .* of the 2 steps"):
        dataclasses.replace(VOICED_STUDENT, excitation=excitation)
