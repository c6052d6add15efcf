"""Drawing without gradients: noise in pieces, and Triton kernels that draw PyTorch's samples."""

import dataclasses

import pytest
import torch
from torch import Tensor

from flows import EngineError, StandardLogistic, StandardNormal
from student import StudentConfig
from student.rendering import draw_frames
from tests.flows.engines.triton.test_stack import DEVICE
from tests.models import EXCITED_STUDENT, FILTERED_STUDENT, STUDENT, make_mel, make_student

FRAMES = 9
CONFIGS = {
    "plain": STUDENT,
    "filtered": FILTERED_STUDENT,
    "logistic": dataclasses.replace(STUDENT, base="logistic"),
    "in_frames": EXCITED_STUDENT,
}


def seeded() -> torch.Generator:
    return torch.Generator(DEVICE).manual_seed(1)


def make_single_mel() -> Tensor:
    return make_mel(frames=FRAMES).float().to(DEVICE)


@pytest.fixture(params=CONFIGS, ids=list(CONFIGS))
def config(request: pytest.FixtureRequest) -> StudentConfig:
    return CONFIGS[request.param]


def test_samples_equal_pytorchs(config: StudentConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    student, mel = make_student(config=config).float().to(DEVICE), make_single_mel()
    whole = student.sample(mel, generator=seeded(), engine="fused")
    expected = student.sample(mel, generator=seeded(), engine="torch")
    torch.testing.assert_close(whole, expected, rtol=1e-5, atol=1e-5)
    streamed = student.stream(mel.split([1, 6, 2], -1), generator=seeded(), engine="fused")
    torch.testing.assert_close(torch.cat(list(streamed), -1), whole, rtol=1e-5, atol=1e-5)


def test_autocast_reaches_the_layers() -> None:
    student, mel = make_student().float().to(DEVICE), make_single_mel()
    exact = student.sample(mel, generator=seeded(), engine="fused")
    with torch.autocast(DEVICE, torch.bfloat16):
        rounded = student.sample(mel, generator=seeded(), engine="fused")
        other = student.sample(mel, generator=seeded(), engine="torch")
    assert rounded.dtype == torch.float32
    error, allowed = (float((x - exact).abs().mean()) for x in (rounded, other))
    assert 0 < error < 2 * allowed


def test_layers_that_are_too_wide_are_refused() -> None:
    student = make_student(config=dataclasses.replace(STUDENT, residual_channels=130)).float()
    with pytest.raises(EngineError, match="at most 128 residual channels, this student has 130"):
        student.sample(make_mel().float(), engine="fused")


@pytest.mark.parametrize("base", [StandardNormal(), StandardLogistic()], ids=["normal", "logistic"])
@pytest.mark.parametrize("streams", [1, 3])
@pytest.mark.parametrize("hop", [5, 16, 256])
def test_noise_is_the_same_in_pieces(
    base: StandardNormal | StandardLogistic, streams: int, hop: int
) -> None:
    like = torch.empty(streams, 1, 1)
    whole, pieces = (torch.Generator().manual_seed(1) for _ in range(2))
    expected = draw_frames(base, like, 7, hop, whole)
    found = [draw_frames(base, like, n, hop, pieces) for n in (1, 4, 2)]
    torch.testing.assert_close(torch.cat(found, -1), expected, rtol=0, atol=0)
    assert torch.equal(whole.get_state(), pieces.get_state())


def test_drawn_samples_can_be_trained_on() -> None:
    student, mel = make_student(config=EXCITED_STUDENT).float(), make_mel(frames=FRAMES).float()
    weight = torch.ones(1, requires_grad=True)
    for piece in [student.sample(mel), *student.stream(mel.split(4, -1))]:
        (weight * piece).square().sum().backward()
    assert weight.grad is not None
