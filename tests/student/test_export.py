"""The functions that are exported: a student's own, whole and chunk by chunk."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F

from flows import CausalConvolution
from student import StreamingStudent, Student, StudentConfig, WholeStudent
from student.voice.filters import FINE
from student.voice.spectral_filter import SpectralFilter
from tests.models import (
    EXCITED_STUDENT,
    FILTERED_STUDENT,
    FRAME_STUDENT,
    HOP,
    STUDENT,
    VOICED_STUDENT,
    compute_taps_by_transforms,
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
    "sharpened": dataclasses.replace(
        VOICED_STUDENT,
        excitation=dataclasses.replace(
            VOICED_STUDENT.excitation, voice_order=2 * FINE, sharpness=0.3, breath=0.5
        ),
    ),
}


@pytest.fixture(autouse=True)
def transforms(monkeypatch: pytest.MonkeyPatch) -> None:
    compute_taps_by_transforms(monkeypatch)


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
    found = in_chunks(student, z, mel, sizes)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("config", ["voiced_and_filtered", "given_pitch"], indirect=True)
@pytest.mark.parametrize("sizes", [[FRAMES], [3, 1, 7]])
def test_controls_shift_the_pitch_and_change_the_breath(
    config: StudentConfig, sizes: list[int]
) -> None:
    student, mel = make_student(config=config), make_frames(config)
    z = torch.randn(2, 1, FRAMES * HOP, dtype=torch.float64)
    plain = student(z, mel).waveform.detach()
    student.set_pitch_shift(3.0)
    student.set_breath(0.25)
    expected = student(z, mel).waveform.detach()
    assert (expected - plain).abs().max() > 1e-3
    student.set_pitch_shift(-5.0)  # of its own, which a control replaces
    student.set_breath(0.75)
    semitones, breath = torch.full((2, 1), 3.0).double(), torch.full((2, 1), 0.25).double()
    if len(sizes) == 1:
        found = WholeStudent(student)(z, mel, semitones, breath)
    else:
        found = in_chunks(student, z, mel, sizes, semitones, breath)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_a_shifted_pitch_is_that_of_shifted_rows() -> None:
    student, mel = make_student(config=GIVEN), make_frames(GIVEN)
    z = torch.randn(2, 1, FRAMES * HOP, dtype=torch.float64)
    shifted = mel.clone()
    shifted[:, GIVEN.num_mels] += 7 / 12
    # The networks read the row, too; the test is of what follows it, the excitation.
    student.frame_context.mean[GIVEN.num_mels] = 0
    student.frame_context.std[GIVEN.num_mels] = 1e9
    expected = student(z, shifted).waveform.detach()
    student.set_pitch_shift(7.0)
    torch.testing.assert_close(student(z, mel).waveform, expected, rtol=1e-6, atol=1e-6)


def in_chunks(
    student: Student, z: torch.Tensor, mel: torch.Tensor, sizes: list[int], *controls: torch.Tensor
) -> torch.Tensor:
    """Draw as a stream."""
    margin = student.config.context_margin
    network, around = StreamingStudent(student), F.pad(mel, (margin, margin), mode="replicate")
    state, waveform, start = z.new_zeros(z.shape[0], network.state_size), [], 0
    for size in sizes:
        stop = start + size
        piece, state = network(
            z[..., start * HOP : stop * HOP],
            around[..., start : stop + 2 * margin],
            state,
            *controls,
        )
        assert state.shape == (z.shape[0], network.state_size)
        waveform.append(piece)
        start = stop
    return torch.cat(waveform, -1)


@pytest.mark.parametrize("order", [1, 5, 64])
def test_a_filter_by_matrices_equals_the_filter(order: int) -> None:
    torch.manual_seed(0)
    filter = CausalConvolution(order, context_channels=3).double()
    perturb(filter)
    x, frames = torch.randn(2, 1, 60).double(), torch.randn(2, 3, 5).double()
    expected, _ = filter(x, frames)
    found = SpectralFilter(filter, 12)(x, frames)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
