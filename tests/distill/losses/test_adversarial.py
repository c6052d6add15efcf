"""The discriminators: the gradients of each side, and that both sides can learn."""

import dataclasses

import pytest
import torch
from torch import Tensor

from distill import (
    AdversarialConfig,
    Adversary,
    Distillation,
    DistillationConfig,
    SpectralConfig,
    at_rest,
)
from distill.losses.adversarial import discriminator_loss, generator_loss
from distill.losses.discriminators import SpectrogramDiscriminator
from tests.models import HOP, make_mel, make_student, make_teacher

SPECTRAL = SpectralConfig(fft_sizes=(64, 32), hop_lengths=(16, 8), win_lengths=(64, 32))
CONFIG = AdversarialConfig(channels=4, spectral=SPECTRAL)


def make_adversary() -> Adversary:
    torch.manual_seed(0)
    return Adversary(CONFIG)


def make_waveforms() -> tuple[Tensor, Tensor]:
    """Return low-pass and high-pass noise, (4, 1, 256) each, which differ in a spectrogram."""
    noise = torch.randn(2, 4, 1, 257, generator=torch.Generator().manual_seed(0))
    return (noise[0, ..., 1:] + noise[0, ..., :-1]) / 2, (
        noise[1, ..., 1:] - noise[1, ..., :-1]
    ) / 2


def test_losses_are_squared_distances_from_the_verdicts_wanted() -> None:
    recordings = [torch.full((2, 1, 3, 3), value) for value in (1.0, 0.5)]
    samples = [torch.full((2, 1, 3, 3), value) for value in (0.0, 0.2)]
    assert float(generator_loss(samples)) == pytest.approx((1 + 0.64) / 2)
    expected = (0 + 0.25) / 2 + (0 + 0.04) / 2
    assert float(discriminator_loss(recordings, samples)) == pytest.approx(expected)


def test_each_sides_gradient_reaches_that_side_alone() -> None:
    adversary, (sample, recording) = make_adversary(), make_waveforms()
    sample.requires_grad_()
    deceived, told_apart = adversary.losses(sample, recording)
    told_apart.backward()
    assert sample.grad is None
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in adversary.parameters())
    adversary.zero_grad()
    deceived.backward()
    assert sample.grad is not None
    assert sample.grad.abs().sum() > 0
    assert all(p.grad is None for p in adversary.parameters())


def test_at_rest_every_parameter_has_a_gradient_of_zero() -> None:
    adversary = make_adversary()
    at_rest(adversary).backward()
    assert all(p.grad is not None and not p.grad.any() for p in adversary.parameters())


def test_discriminators_learn_to_tell_and_a_sample_to_deceive() -> None:
    adversary, (sample, recording) = make_adversary(), make_waveforms()
    optimizer = torch.optim.Adam(adversary.parameters(), lr=3e-3)
    for _ in range(80):
        optimizer.zero_grad()
        adversary.losses(sample, recording)[1].backward()
        optimizer.step()
    with torch.no_grad():
        before, told_apart = adversary.losses(sample, recording)
    assert float(told_apart) < 0.05
    assert float(before) > 0.8
    sample.requires_grad_()
    optimizer = torch.optim.Adam([sample], lr=1e-2)
    for _ in range(80):
        optimizer.zero_grad()
        adversary.losses(sample, recording)[0].backward()
        optimizer.step()
    assert float(adversary.losses(sample, recording)[0]) < 0.5 * float(before)


def test_the_objective_has_the_terms_when_there_is_an_adversary() -> None:
    config = DistillationConfig(spectral=SPECTRAL, adversarial_weight=4.0, adversarial=CONFIG)
    objective = Distillation(make_student().float(), make_teacher().float(), config)
    adversary, mel = make_adversary(), make_mel(2, 20).float()
    generator = torch.Generator().manual_seed(0)
    z, recording = (torch.randn(2, 1, 20 * HOP, generator=generator) for _ in range(2))
    without = objective(z, mel, 0.1 * recording)
    assert "adversarial" not in without
    terms = objective(z, mel, 0.1 * recording, adversary=adversary)
    expected = without["loss"] + 4 * terms["adversarial"] + terms["discriminator"]
    torch.testing.assert_close(terms["loss"], expected)
    terms["loss"].backward()
    assert all(p.grad is not None for p in adversary.parameters())
    assert all(p.grad is not None for p in objective.student.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", ["first_step", "channels"])
def test_config_errors_name_the_field(name: str) -> None:
    with pytest.raises(ValueError, match=rf"adversarial\.{name} is -1, expected at least"):
        dataclasses.replace(CONFIG, **{name: -1})


def test_there_is_a_score_for_every_frame_and_every_eighth_bin() -> None:
    scores = SpectrogramDiscriminator(4, (64, 16, 64))(torch.zeros(1, 1, 256))
    assert scores.shape == (1, 1, 5, 17)
