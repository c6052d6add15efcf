"""The functions that are exported: a student's own, whole and chunk by chunk."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F

from flows import CausalConvolution
from student import StreamingStudent, StudentConfig, WholeStudent
from student.voice.spectral_filter import SpectralFilter
from tests.models import (
    EXCITED_STUDENT,
    FILTERED_STUDENT,
    FRAME_STUDENT,
    HOP,
    STUDENT,
    VOICED_STUDENT,
    make_mel,
    make_student,
    perturb,
)

FRAMES = 11
GIVEN = dataclasses.replace(VOICED_STUDENT, filter_order=5, pitch=True)
CONFIGS = {
    "plain": STUDENT,
    "filtered": FILTERED_STUDENT,
    "filter_longer_than_a_frame": dataclasses.replace(FILTERED_STUDENT, filter_order=21),
    "logistic": dataclasses.replace(STUDENT, base="logistic"),
    "frames": FRAME_STUDENT,
    "no_margin": dataclasses.replace(STUDENT, context_margin=0),
    "excited": EXCITED_STUDENT,
    "voiced": VOICED_STUDENT,
    "voiced_single_samples": dataclasses.replace(VOICED_STUDENT, frame_length=1),
    "voiced_and_filtered": dataclasses.replace(VOICED_STUDENT, filter_order=5),
    "given_pitch": GIVEN,
}


def make_frames(config: StudentConfig) -> torch.Tensor:
    """Log-mel, and a pitch that is voiced now and then if it is given."""
    rows = torch.full((2, 1, FRAMES), math.log2(30.0), dtype=torch.float64)
    voicing = (torch.arange(FRAMES) % 4 > 1).double().expand(2, 1, FRAMES)
    return torch.cat([make_mel(frames=FRAMES), *[rows, voicing] * config.pitch], 1)


@pytest.fixture(params=CONFIGS, ids=list(CONFIGS))
def config(request: pytest.FixtureRequest) -> StudentConfig:
    return CONFIGS[request.param]


def test_the_whole_equals_the_student(config: StudentConfig) -> None:
    student, mel = make_student(config=config), make_frames(config)
    z = torch.randn(2, 1, FRAMES * HOP, dtype=torch.float64)
    expected = student(z, mel).waveform.detach()
    torch.testing.assert_close(WholeStudent(student)(z, mel), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("sizes", [[1] * FRAMES, [3, 1, 7], [FRAMES]])
def test_chunks_join_to_the_whole(config: StudentConfig, sizes: list[int]) -> None:
    student, mel = make_student(config=config), make_frames(config)
    z = torch.randn(2, 1, FRAMES * HOP, dtype=torch.float64)
    expected = student(z, mel).waveform.detach()
    network, margin = StreamingStudent(student), config.context_margin
    around = F.pad(mel, (margin, margin), mode="replicate")
    state, waveform, start = torch.zeros(2, network.state_size).double(), [], 0
    for size in sizes:
        stop = start + size
        piece, state = network(
            z[..., start * HOP : stop * HOP], around[..., start : stop + 2 * margin], state
        )
        assert state.shape == (2, network.state_size)
        waveform.append(piece)
        start = stop
    torch.testing.assert_close(torch.cat(waveform, -1), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("order", [1, 5, 64])
def test_a_filter_by_matrices_equals_the_filter(order: int) -> None:
    torch.manual_seed(0)
    filter = CausalConvolution(order, context_channels=3).double()
    perturb(filter)
    x, frames = torch.randn(2, 1, 60).double(), torch.randn(2, 3, 5).double()
    expected, _ = filter(x, frames)
    found = SpectralFilter(filter, 12)(x, frames)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
