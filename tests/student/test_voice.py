"""The voice: pulses at the pitch through a filter that follows the context."""

import pytest
import torch
from torch import Tensor

from student import ExcitedContext
from student.voice import Voice, pulse_train
from tests.models import HOP, VOICED_STUDENT, make_mel, make_student

RATE, CHANNELS, ORDER, FRAMES = 400, 3, 5, 4


def make_voice() -> Voice:
    torch.manual_seed(0)
    voice = Voice(CHANNELS, HOP, ORDER).double()
    with torch.no_grad():
        for parameter in voice.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return voice


def inputs(frames: int = FRAMES) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (2, 1, frames * HOP), (2, CHANNELS, frames)
    pulses, hidden = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes
    )
    return pulses, hidden, torch.ones(2, frames, dtype=torch.float64)


@pytest.mark.parametrize("hz", [37.0, 50.0, 199.0])  # 50: a harmonic on half the rate itself
def test_pulses_are_the_sum_of_all_harmonics_at_unit_power(hz: float) -> None:
    time = torch.arange(4000).double() / RATE
    count = int(RATE / 2 / hz)
    harmonics = torch.arange(1, count + 1).double()[:, None]
    expected = (2 * torch.pi * harmonics * hz * time).cos().sum(0) * (2 / count) ** 0.5
    found = pulse_train(time * hz, torch.full_like(time, hz), RATE)
    torch.testing.assert_close(found, expected)
    if hz != 50.0:
        assert float(found.square().mean()) == pytest.approx(1.0, rel=0.02)


def test_a_steady_voice_is_a_convolution() -> None:
    voice, (pulses, hidden, voicing) = make_voice(), inputs()
    hidden = hidden[..., :1].expand_as(hidden)
    found, _ = voice(pulses, hidden, voicing)
    layer = torch.nn.functional.leaky_relu(voice.hidden(hidden), 0.2)
    log_gain, taps = voice.filter.filters(pulses, layer)
    for row in range(2):
        response = torch.cat([torch.ones(1).double(), taps[row, 0, 0]]) * log_gain[row, 0, 0].exp()
        padded = torch.nn.functional.pad(pulses[row], (ORDER, 0))
        expected = torch.nn.functional.conv1d(padded[None], response.flip(0)[None, None])
        torch.testing.assert_close(found[row], expected[0])


def test_between_the_ends_of_frames_the_voice_goes_over_evenly() -> None:
    voice, (pulses, hidden, _) = make_voice(), inputs()
    steady = [voice(pulses, hidden[..., n : n + 1].expand_as(hidden), torch.ones(2, FRAMES))[0]
              for n in (1, 2)]  # fmt: skip
    found, _ = voice(pulses, hidden, torch.ones(2, FRAMES).double())
    rise = torch.arange(1, HOP + 1).double() / HOP
    now = slice(2 * HOP, 3 * HOP)
    expected = steady[0][..., now] * (1 - rise) + steady[1][..., now] * rise
    torch.testing.assert_close(found[..., now], expected)


def test_an_unvoiced_frame_fades_to_silence() -> None:
    voice, (pulses, hidden, voicing) = make_voice(), inputs()
    voicing[:, 2:] = 0
    found, _ = voice(pulses, hidden, voicing)
    assert found[..., 3 * HOP - 1 :].abs().max() == 0
    assert found[..., 2 * HOP : 3 * HOP - 1].abs().min() > 0


@pytest.mark.parametrize("size", [1, 3])
def test_pieces_join_to_the_whole(size: int) -> None:
    voice, (pulses, hidden, voicing) = make_voice(), inputs(7)
    whole, _ = voice(pulses, hidden, voicing)
    state, pieces = None, []
    parts = (pulses.split(size * HOP, -1), hidden.split(size, -1), voicing.split(size, -1))
    for piece in zip(*parts, strict=True):
        found, state = voice(*piece, state)
        pieces.append(found)
    torch.testing.assert_close(torch.cat(pieces, -1), whole)


def test_a_fresh_voice_has_the_deviation_asked_for() -> None:
    torch.manual_seed(0)
    voice = Voice(CHANNELS, HOP, ORDER)
    voice.set_initial_std(0.05)
    pulses = torch.randn(1, 1, 500 * HOP)
    with torch.no_grad():
        found, _ = voice(pulses, torch.randn(1, CHANNELS, 500), torch.ones(1, 500))
    assert float(found.std()) == pytest.approx(0.05, rel=0.05)


def test_a_voiced_students_sample_holds_its_voice_and_trains_it() -> None:
    student, mel = make_student(config=VOICED_STUDENT), make_mel()
    z = torch.zeros(2, 1, 6 * HOP, dtype=torch.float64)
    assert isinstance(student.context, ExcitedContext)
    assert student.context.voice is not None
    with torch.no_grad():
        student.context.predictor.head.bias[0] = 9.0
        for network in student._networks:
            for layer in (network.head, network.frame_params):
                layer.weight.zero_()
            network.head.bias.zero_()
    waveform = student(z, mel).waveform
    voice = student.context(mel, 6)[:, -VOICED_STUDENT.frame_length :]
    torch.testing.assert_close(waveform, student.fold.inverse(voice)[0])
    waveform.square().sum().backward()
    assert student.context.voice.filter.bias.grad.abs().min() > 0
    assert student.context.predictor.head.weight.grad is None
