"""Students that are given pitch and voicing with the log-mel."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from data import yin
from student import ExcitationConfig, Student, StudentConfig
from tests.models import (
    EXCITED_STUDENT,
    HOP,
    MELS,
    STUDENT,
    VOICED_STUDENT,
    make_mel,
    make_student,
)

GIVEN = dataclasses.replace(STUDENT, pitch=True)
EXCITED = dataclasses.replace(EXCITED_STUDENT, pitch=True)
VOICED = dataclasses.replace(VOICED_STUDENT, pitch=True)
FRAMES = 6


def make_noise(frames: int = FRAMES) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 1, frames * HOP, generator=generator, dtype=torch.float64)


def told(hz: float, voicing: float = 1.0, frames: int = FRAMES) -> Tensor:
    """Return two utterances of equal frames at a steady pitch."""
    rows = torch.tensor([math.log2(hz), voicing], dtype=torch.float64)
    rows = rows[:, None].expand(2, 2, frames)
    return torch.cat([make_mel(frames=frames), rows], 1)


def deaf(student: Student) -> Student:
    """Hide the two rows from the context network, so that only the excitation reads them."""
    student.frame_context.std[MELS:] = math.inf
    return student


@pytest.mark.parametrize("config", [GIVEN, EXCITED, VOICED])
def test_frames_without_the_pitch_are_refused(config: StudentConfig) -> None:
    student = make_student(config=config)
    message = r"\(2, 4, 6\), expected \(B, 6, .* of 4 mel bands, pitch, voicing"
    with pytest.raises(ValueError, match=message):
        student.sample(make_mel())
    with pytest.raises(ValueError, match=message):
        next(student.stream([make_mel()]))


@pytest.mark.parametrize("config", [GIVEN, EXCITED, VOICED])
@pytest.mark.parametrize("other", [told(45.0), told(30.0, 0.0)])
def test_the_sample_follows_pitch_and_voicing(config: StudentConfig, other: Tensor) -> None:
    student = make_student(config=config)
    first, second = (student(make_noise(), mel).waveform for mel in (told(30.0), other))
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("config", [EXCITED, VOICED])
def test_an_unvoiced_excitation_has_no_pitch(config: StudentConfig) -> None:
    student = deaf(make_student(config=config))
    voiced = [student(make_noise(), told(hz)).waveform for hz in (30.0, 45.0)]
    assert not torch.allclose(*voiced)
    unvoiced = [student(make_noise(), told(hz, 0.0)).waveform for hz in (30.0, 45.0)]
    torch.testing.assert_close(*unvoiced)


def test_a_given_pitch_is_not_predicted() -> None:
    names = {n.split(".")[0] for n, _ in make_student(config=EXCITED).context.named_parameters()}
    assert names == {"frames", "join"}


def test_a_pitch_beyond_a_quarter_of_the_rate_is_limited_to_it() -> None:
    student = deaf(make_student(config=VOICED))
    highest, beyond = (student(make_noise(), told(hz)).waveform for hz in (100.0, 1e6))
    torch.testing.assert_close(highest, beyond)


def test_margin_frames_do_not_change_the_pitch() -> None:
    student, features = make_student(config=EXCITED), told(30.0)
    features[:, MELS] += torch.linspace(0, 1, FRAMES)
    around = torch.nn.functional.pad(features, (1, 1), mode="replicate")
    torch.testing.assert_close(
        student(make_noise(), around).waveform, student(make_noise(), features).waveform
    )


@pytest.mark.parametrize("config", [GIVEN, EXCITED, VOICED])
@pytest.mark.parametrize("margin", [0, 1, 2])
@pytest.mark.parametrize("size", [1, 4])
def test_pieces_join_to_the_whole(config: StudentConfig, margin: int, size: int) -> None:
    student = make_student(config=dataclasses.replace(config, context_margin=margin))
    features = told(30.0, frames=9)
    features[:, MELS] += torch.linspace(0, 1, 9)
    features[:, MELS + 1, 4:6] = 0
    seeds = [torch.Generator().manual_seed(2) for _ in range(2)]
    pieces = student.stream(features.split(size, -1), generator=seeds[0])
    torch.testing.assert_close(
        torch.cat(list(pieces), -1), student.sample(features, generator=seeds[1])
    )


def test_an_octave_shift_raises_the_sample_by_an_octave() -> None:
    hop, rate = 256, 16000
    config = StudentConfig(
        num_mels=MELS,
        pitch=True,
        context_channels=64,
        frame_length=32,
        flow_layers=(1,),
        residual_channels=4,
        excitation=ExcitationConfig(kind="harmonic", sample_rate=rate),
    )
    torch.manual_seed(0)
    student = Student(config)
    optimizer = torch.optim.Adam(student.parameters(), lr=2e-2)
    generator = torch.Generator().manual_seed(0)
    frames = 8
    time = torch.arange(1, frames * hop + 1) / rate
    noise = torch.zeros(8, 1, frames * hop)

    def condition(hz: Tensor) -> Tensor:
        rows = torch.stack([hz.log2(), torch.ones_like(hz)], 1)[..., None].expand(-1, -1, frames)
        return torch.cat([torch.zeros(len(hz), MELS, frames), rows], 1)

    for _ in range(80):
        hz = 80 * 4 ** torch.rand(8, generator=generator)
        wanted = 0.3 * torch.cos(2 * torch.pi * hz[:, None, None] * time)
        optimizer.zero_grad()
        (student(noise, condition(hz)).waveform - wanted).square().mean().backward()
        optimizer.step()
    drawn = student.sample(condition(torch.tensor([100.0, 200.0])), temperature=0.1)
    found, voiced = yin(drawn, rate, hop, 60.0, 400.0)
    inside = slice(1, -2)
    assert voiced[:, inside].all()
    expected = torch.tensor([100.0, 200.0])[:, None].expand_as(found[:, inside])
    torch.testing.assert_close(found[:, inside], expected, rtol=0.01, atol=0)
