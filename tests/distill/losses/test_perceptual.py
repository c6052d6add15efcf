"""Distances under frozen networks."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill import (
    CrepeFeatures,
    PerceptualConfig,
    TeacherFeatures,
    feature_distance,
    gram_matrix,
    style_distance,
)
from tests.models import HOP, TEACHER, make_mel, make_teacher


def features(seed: int, length: int = 400) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, c, length, generator=generator, dtype=torch.float64) for c in (3, 5)]


def test_gram_matrix_is_the_correlation_of_channels() -> None:
    x = features(0)[0]
    expected = torch.stack([torch.from_numpy(one.numpy() @ one.numpy().T / 400) for one in x])
    torch.testing.assert_close(gram_matrix(x), expected)


@pytest.mark.parametrize("distance", [style_distance, feature_distance])
def test_distances_are_zero_for_equals_and_grow(distance: object) -> None:
    x, noise = features(0), features(1)
    near = [a + 0.1 * b for a, b in zip(x, noise, strict=True)]
    far = [a + b for a, b in zip(x, noise, strict=True)]
    assert float(distance(x, x)) == 0  # type: ignore[operator]
    assert 0 < float(distance(near, x)) < float(distance(far, x))  # type: ignore[operator]


def test_distances_are_relative_to_the_recording() -> None:
    x = features(0)
    assert float(feature_distance([0 * a for a in x], x)) == pytest.approx(1)
    assert float(style_distance([0 * a for a in x], x)) == pytest.approx(1)
    loud = [100 * a for a in x]
    halved = [50 * a for a in x]
    assert float(feature_distance(halved, loud)) == pytest.approx(0.25)


def test_style_is_blind_to_order_in_time_and_features_are_not() -> None:
    x = features(0)
    shuffled = [a[..., torch.randperm(400)] for a in x]
    assert float(style_distance(shuffled, x)) < 1e-12
    assert float(feature_distance(shuffled, x)) > 1


def test_features_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3, 400\).*\(2, 3, 200\)"):
        feature_distance(features(0), features(0, length=200))
    with pytest.raises(ValueError, match="shapes"):
        feature_distance([], [])


def test_features_of_silence_have_a_finite_distance_and_gradient() -> None:
    x = [torch.zeros(1, 3, 10, requires_grad=True)]
    distance = style_distance(x, [torch.zeros(1, 3, 10)])
    (gradient,) = torch.autograd.grad(distance, x)
    assert torch.isfinite(distance)
    assert torch.isfinite(gradient).all()


def test_teacher_features_are_the_residual_path_and_leave_no_hooks() -> None:
    teacher, mel = make_teacher().requires_grad_(False), make_mel()
    x = torch.randn(2, 1, 6 * HOP, dtype=torch.float64, requires_grad=True)
    found = TeacherFeatures(teacher)(x, mel)
    assert len(found) == TEACHER.wavenet.num_layers
    width = TEACHER.wavenet.residual_channels
    assert all(f.shape == (2, width, 6 * HOP) for f in found)
    (gradient,) = torch.autograd.grad(found[-1].square().sum(), x)
    assert gradient.abs().sum() > 0
    assert not any(layer._forward_hooks for layer in teacher.wavenet.layers)


def test_config_errors_name_the_field() -> None:
    with pytest.raises(ValueError, match=r"perceptual\.network is 'wav2vec', expected"):
        PerceptualConfig(network="wav2vec")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"perceptual\.distance is 'l1', expected"):
        PerceptualConfig(distance="l1")  # type: ignore[arg-type]


class SmallCrepe(nn.Module):
    """The interface of torchcrepe.Crepe with random weights."""

    def __init__(self, capacity: str) -> None:
        super().__init__()
        widths, kernels = [1, 6, 4, 4, 4, 5], [512, 64, 64, 64, 64]
        for i, kernel in enumerate(kernels):
            stride = (4, 1) if i == 0 else (1, 1)
            convolution = nn.Conv2d(widths[i], widths[i + 1], (kernel, 1), stride)
            self.add_module(f"conv{i + 1}", convolution)
            self.add_module(f"conv{i + 1}_BN", nn.BatchNorm2d(widths[i + 1]))

    def layer(
        self,
        x: Tensor,
        conv: nn.Module,
        batch_norm: nn.Module,
        padding: tuple[int, ...] = (0, 0, 31, 32),
    ) -> Tensor:
        return F.max_pool2d(batch_norm(F.relu(conv(F.pad(x, padding)))), (2, 1), (2, 1))


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A replacement for torchcrepe, which has 70 MB and is not installed for the tests."""
    torch.manual_seed(0)
    module = ModuleType("torchcrepe")
    module.__file__ = str(tmp_path / "__init__.py")
    module.Crepe = SmallCrepe  # type: ignore[attr-defined]
    (tmp_path / "assets").mkdir()
    torch.save(SmallCrepe("tiny").state_dict(), tmp_path / "assets" / "tiny.pth")
    monkeypatch.setitem(sys.modules, "torchcrepe", module)
    return tmp_path


def test_crepe_hears_pitch_and_timbre_but_no_level(package: Path) -> None:
    listen = CrepeFeatures("tiny", 16_000)
    x = torch.randn(2, 1, 2048)
    found = listen(x)
    assert [f.shape[:2] for f in found] == [(2, c) for c in (6, 4, 4, 4, 5)]
    windows = (2048 - 1024) // 256 + 1
    assert [f.shape[2] // windows for f in found] == [128, 64, 32, 16, 8]
    for louder, one in zip(listen(3 * x), found, strict=True):
        torch.testing.assert_close(louder, one, rtol=1e-3, atol=1e-4)
    assert float(style_distance(listen(torch.randn(2, 1, 2048)), found)) > 0


def test_crepe_is_frozen_and_passes_gradients_even_in_silence(package: Path) -> None:
    listen = CrepeFeatures("tiny", 16_000)
    assert not any(p.requires_grad for p in listen.parameters())
    for x in (torch.randn(1, 1, 2048), torch.zeros(1, 1, 2048)):
        x.requires_grad_()
        (gradient,) = torch.autograd.grad(listen(x)[-1].square().sum(), x)
        assert torch.isfinite(gradient).all()


def test_crepe_resamples_to_its_own_rate(package: Path) -> None:
    t = torch.arange(4410) / 22_050
    at_22 = torch.sin(2 * torch.pi * 200 * t)[None, None]
    at_16 = torch.sin(2 * torch.pi * 200 * torch.arange(3200) / 16_000)[None, None]
    found, wanted = CrepeFeatures("tiny", 22_050)(at_22), CrepeFeatures("tiny", 16_000)(at_16)
    assert float(style_distance(found, wanted)) < 1e-3


def test_crepe_refuses_a_clip_shorter_than_its_window(package: Path) -> None:
    with pytest.raises(ValueError, match="windows of 1024 samples at 16000 Hz, got 1000"):
        CrepeFeatures("tiny", 16_000)(torch.zeros(1, 1, 1000))


def test_without_its_package_crepe_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchcrepe", None)
    with pytest.raises(ValueError, match=r"needs package torchcrepe .*--extras perceptual"):
        CrepeFeatures("tiny", 16_000)


def test_a_teachers_features_are_found_under_autocast() -> None:
    features, mel = TeacherFeatures(make_teacher().float()), make_mel().float()
    waveform = torch.randn(2, 1, mel.shape[-1] * HOP, generator=torch.Generator().manual_seed(0))
    expected = features(waveform, mel)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(features(waveform, mel), expected)
