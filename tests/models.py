"""Small teachers and students for tests."""

import dataclasses

import pytest
import torch
from torch import Tensor

from dsp.cepstrum import taps_by_transform
from flows import PitchPredictionConfig, WaveNetConfig
from student import ExcitationConfig, Student, StudentConfig
from teacher import Teacher, TeacherConfig

MELS, HOP = 4, 8

TEACHER = TeacherConfig(
    num_mels=MELS,
    hop_length=HOP,
    context_channels=6,
    context_margin=1,
    wavenet=WaveNetConfig(num_layers=3, layers_per_cycle=3, residual_channels=8, skip_channels=8),
)
MIXTURE_TEACHER = dataclasses.replace(TEACHER, distribution="mixture", num_components=3)
FRAME_TEACHER = dataclasses.replace(
    TEACHER,
    frame_length=4,
    filter_order=3,
    past_noise=0.1,
    wavenet=dataclasses.replace(
        TEACHER.wavenet,
        pitch=PitchPredictionConfig(longest_lag=16, shortest_lag=5, update=8),
    ),
)
STUDENT = StudentConfig(
    num_mels=MELS,
    hop_length=HOP,
    context_channels=6,
    context_margin=1,
    flow_layers=(2, 3),
    layers_per_cycle=2,
    residual_channels=8,
)
LOGISTIC_STUDENT = dataclasses.replace(STUDENT, base="logistic")
FRAME_STUDENT = dataclasses.replace(STUDENT, frame_length=4, flow_layers=(2, 1, 2), kernel_size=2)
EXCITED_STUDENT = dataclasses.replace(
    FRAME_STUDENT,
    excitation=ExcitationConfig(
        kind="harmonic", sample_rate=400, fmin_hz=20.0, fmax_hz=100.0, pitch_channels=5
    ),
)
VOICED_STUDENT = dataclasses.replace(
    EXCITED_STUDENT,
    excitation=dataclasses.replace(
        EXCITED_STUDENT.excitation,
        kind="voice",
        voice_order=9,
        voice_channels=5,
        filters_per_frame=2,
    ),
)
FILTERED_STUDENT = dataclasses.replace(STUDENT, filter_order=5)


def perturb(model: torch.nn.Module, scale: float = 0.1) -> None:
    """Move weights away from their near-identity start."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(scale * torch.randn_like(parameter))


def make_teacher(seed: int = 0, config: TeacherConfig = TEACHER) -> Teacher:
    torch.manual_seed(seed)
    teacher = Teacher(config).double()
    perturb(teacher)
    return teacher.eval()


def make_student(seed: int = 0, config: StudentConfig = STUDENT) -> Student:
    torch.manual_seed(seed)
    student = Student(config).double()
    perturb(student)
    return student


def make_mel(batch: int = 2, frames: int = 6, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, MELS, frames, generator=generator, dtype=torch.float64)


def compute_taps_by_transforms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make students compute taps by Fourier transforms, as exported students do.

    Their aliasing error is large for the short filters of the students in tests.
    """

    def taps(cepstrum: Tensor, points: int | None = None) -> Tensor:
        return taps_by_transform(cepstrum, points or 8 * cepstrum.shape[-1])

    monkeypatch.setattr("student.voice.source.taps_from_cepstrum", taps)
    monkeypatch.setattr("flows.transforms.convolution.taps_from_cepstrum", taps)
