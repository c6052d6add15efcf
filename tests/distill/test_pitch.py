"""Pitch of recordings, and the loss of a predicted one."""

import pytest
import torch
from torch import Tensor

from distill import Distillation, DistillationConfig, SpectralConfig, check_health
from distill.pitch import BELL, pitch_loss, yin
from student import ExcitationConfig, ExcitedContext, Pitch
from student.pitch import BINS_PER_OCTAVE, pitch_bins
from tests.models import EXCITED_STUDENT, FRAME_STUDENT, HOP, make_mel, make_student, make_teacher

CONFIG = ExcitationConfig(kind="harmonic")
HOP_16K = 256
SPECTRAL = SpectralConfig(fft_sizes=(64,), hop_lengths=(16,), win_lengths=(64,))


def harmonics(hz: Tensor) -> Tensor:
    """A voice-like tone whose pitch is given sample by sample, (1, 1, T)."""
    phase = (hz.double() / CONFIG.sample_rate).cumsum(0)
    parts = [torch.cos(2 * torch.pi * k * phase) / k for k in range(1, 12)]
    return 0.1 * torch.stack(parts).sum(0)[None, None]


@pytest.mark.parametrize("low", [70.0, 120.0, 230.0])
def test_yin_follows_a_glide(low: float) -> None:
    glide = torch.linspace(low, 1.4 * low, 64 * HOP_16K)
    hz, voiced = yin(harmonics(glide), HOP_16K, CONFIG)
    inside = slice(3, -3)
    assert voiced[0, inside].all()
    expected = glide[HOP_16K - 1 :: HOP_16K].double()
    torch.testing.assert_close(hz[0, inside], expected[inside], rtol=0.015, atol=0)


def test_noise_and_silence_are_unvoiced() -> None:
    noise = 0.1 * torch.randn(1, 1, 64 * HOP_16K, generator=torch.Generator().manual_seed(0))
    quiet = 1e-4 * harmonics(torch.full((64 * HOP_16K,), 120.0))
    for waveform in (noise, quiet, torch.zeros_like(noise)):
        assert not yin(waveform, HOP_16K, CONFIG)[1].any()


def predicted(hz: Tensor, voicing: Tensor) -> Pitch:
    """A prediction that is as sure of a pitch as the loss's bell, (B, L) each."""
    bins = torch.arange(pitch_bins(CONFIG.fmin_hz, CONFIG.fmax_hz))[:, None]
    position = BINS_PER_OCTAVE * (hz / CONFIG.fmin_hz).log2()[:, None]
    return Pitch(hz, voicing, -0.5 * ((bins - position) / BELL).square())


def test_loss_counts_the_pitch_of_voiced_frames_alone() -> None:
    hz = torch.tensor([[100.0, 150.0]])
    voiced = torch.tensor([[True, False]])
    sure = torch.tensor([[20.0, -20.0]])
    assert float(pitch_loss(predicted(hz, sure), hz, voiced, CONFIG)) == pytest.approx(0, abs=1e-6)
    # Between two bells the divergence is half the squared distance in deviations.
    above = hz * 2 ** torch.tensor([[2 / BINS_PER_OCTAVE, 1.0]])
    found = pitch_loss(predicted(above, sure), hz, voiced, CONFIG)
    assert float(found) == pytest.approx((2 / BELL) ** 2 / 2, rel=1e-3)
    wrong = pitch_loss(predicted(hz, -sure), hz, voiced, CONFIG)
    assert float(wrong) == pytest.approx(20.0, rel=1e-6)
    none = pitch_loss(predicted(hz, -sure.abs()), hz, torch.zeros(1, 2).bool(), CONFIG)
    assert float(none) < 1e-6


def make_objective(**weights: float) -> Distillation:
    config = DistillationConfig(spectral=SPECTRAL, **weights)
    return Distillation(make_student(config=EXCITED_STUDENT), make_teacher(), config)


def make_batch() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    z = torch.randn(2, 1, 20 * HOP, generator=generator, dtype=torch.float64)
    time = torch.arange(20 * HOP).double() / EXCITED_STUDENT.excitation.sample_rate
    tone = torch.stack([torch.cos(2 * torch.pi * hz * time) for hz in (30.0, 45.0)])
    return z, make_mel(2, 20), 0.1 * tone[:, None]


def test_the_objective_trains_the_pitch_beside_the_sample() -> None:
    objective, batch = make_objective(), make_batch()
    before = objective(*batch)
    expected = objective.score(objective.student(*batch[:2]), *batch[1:])["loss"] + before["pitch"]
    torch.testing.assert_close(before["loss"], expected)
    before["loss"].backward()
    trained = [p for p in objective.student.parameters() if p.requires_grad]
    assert all(p.grad is not None for p in trained)
    optimizer = torch.optim.Adam(trained, lr=5e-3)
    for _ in range(40):
        optimizer.zero_grad()
        objective(*batch)["loss"].backward()
        optimizer.step()
    after = objective(*batch)
    for name in ("loss", "pitch", "kl"):
        assert float(after[name]) < float(before[name])


def test_a_pitch_of_no_weight_is_told_but_not_trained() -> None:
    objective = make_objective(pitch_weight=0.0)
    terms = objective(*make_batch())
    assert not terms["pitch"].requires_grad
    terms["loss"].backward()
    assert isinstance(objective.student.context, ExcitedContext)
    assert objective.student.context.predictor.head.weight.grad is None


def test_health_compares_contexts_without_the_pitch() -> None:
    reports = [check_health(make_objective(pitch_weight=w), *make_batch()) for w in (0.0, 100.0)]
    assert reports[0].values["context_gap"] == reports[1].values["context_gap"]


def test_a_student_without_excitation_has_no_such_term() -> None:
    config = DistillationConfig(spectral=SPECTRAL)
    objective = Distillation(make_student(config=FRAME_STUDENT), make_teacher(), config)
    assert "pitch" not in objective(*make_batch())
