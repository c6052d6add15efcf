"""The models that come with the project, in float64, with speech and noise to test them on."""

from functools import cache

import torch
from torch import Tensor

from data import log_mel
from flows.model_folder import SHIPPED, pretrained_names
from pipelines.workspace import load_model, mel_of
from student import Student
from teacher import Teacher
from tests.speech import speech

FIRST = 40
"""Number of a frame within speech, at which short clips start."""


@cache
def shipped(name: str) -> Teacher | Student:
    return load_model(SHIPPED / name).double()


def names_of(kind: type[Teacher] | type[Student]) -> list[str]:
    return [name for name in pretrained_names() if isinstance(load_model(SHIPPED / name), kind)]


STUDENTS, TEACHERS = names_of(Student), names_of(Teacher)


def clip(model: Teacher | Student, frames: int, first: int = FIRST) -> tuple[Tensor, Tensor]:
    """Return speech (1, 1, T), and its log-mel with neighbours (1, M, L + 2 margin)."""
    mel, margin = mel_of(model, SHIPPED), model.config.context_margin
    waveform = speech(mel.sample_rate)
    features = log_mel(waveform, mel)[..., first - margin : first + frames + margin]
    hop = mel.hop_length
    return waveform[..., first * hop : (first + frames) * hop], features


def noise(student: Student, rows: int, frames: int, seed: int = 0) -> Tensor:
    like = torch.empty(rows, 1, frames * student.config.hop_length, dtype=torch.float64)
    return student.flow.base.sample(like, torch.Generator().manual_seed(seed))
