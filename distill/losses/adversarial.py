"""The adversarial term: a student learns to make discriminators take its samples for recordings."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.func import functional_call

from distill.losses.discriminators import SpectrogramDiscriminator
from distill.losses.spectral import SpectralConfig
from flows.precision import full_precision


@dataclass(frozen=True, kw_only=True)
class AdversarialConfig:
    """Number and size of the discriminators, and the step at which they begin to train.

    Args:
        first_step: first training step that uses the discriminators.
        channels: width of each discriminator.
        spectral: resolutions of the spectrograms; each resolution has its own discriminator.
    """

    first_step: int = 0
    channels: int = 16
    spectral: SpectralConfig = field(
        default_factory=lambda: SpectralConfig(
            fft_sizes=(1024, 512, 256), hop_lengths=(256, 128, 64), win_lengths=(1024, 512, 256)
        )
    )

    def __post_init__(self) -> None:
        for name, least in (("first_step", 0), ("channels", 1)):
            if getattr(self, name) < least:
                raise ValueError(
                    f"adversarial.{name} is {getattr(self, name)}, expected at least {least}"
                )


class Adversary(nn.Module):
    r"""The discriminators, and least-squares losses for the student and for the discriminators.

    .. math:: L_G = \mathbb E\,(1 - D(\hat x))^2, \qquad
              L_D = \mathbb E\,(1 - D(x))^2 + \mathbb E\,D(\hat x)^2

    One backward pass and one optimiser serve both losses. The gradient of L_G reaches only the
    sample, and the gradient of L_D reaches only the discriminators.

    References:
        Least squares generative adversarial networks (Mao et al., 2017). arXiv:1611.04076
        Parallel WaveGAN (Yamamoto et al., 2020), eq. 1-2. arXiv:1910.11480
    """

    def __init__(self, config: AdversarialConfig) -> None:
        super().__init__()
        spectral = config.spectral
        resolutions = zip(
            spectral.fft_sizes, spectral.hop_lengths, spectral.win_lengths, strict=True
        )
        self.discriminators = nn.ModuleList(
            SpectrogramDiscriminator(config.channels, resolution) for resolution in resolutions
        )

    def forward(self, waveform: Tensor) -> list[Tensor]:
        """Return each discriminator's scores of waveforms (B, 1, T)."""
        with full_precision(waveform):
            return [discriminator(waveform.float()) for discriminator in self.discriminators]

    def losses(self, sample: Tensor, recording: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the adversarial loss of the student and the loss of the discriminators.

        Args:
            sample: generated waveforms, shape (B, 1, T).
            recording: recorded waveforms, shape (B, 1, T).
        Returns:
            the student's loss, with a gradient to the sample; the discriminators' loss, with a
            gradient to their parameters.
        """
        frozen = {name: parameter.detach() for name, parameter in self.named_parameters()}
        deceived = generator_loss(functional_call(self, frozen, (sample,)))
        return deceived, discriminator_loss(self(recording), self(sample.detach()))


def at_rest(module: nn.Module) -> Tensor:
    """Return a loss of 0 that depends on every trained parameter of a module.

    Processes that average their gradients need a gradient for every parameter. The parameters of a
    module that a step does not use have none. If this loss is added, their gradients are 0.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return torch.stack([0.0 * parameter.sum() for parameter in trained]).sum()


def generator_loss(scores: Sequence[Tensor]) -> Tensor:
    """Return the mean squared distance of scores from 1, averaged over discriminators.

    Args:
        scores: scores by each discriminator, any shapes.
    """
    return torch.stack([(1 - score).square().mean() for score in scores]).mean()


def discriminator_loss(recordings: Sequence[Tensor], samples: Sequence[Tensor]) -> Tensor:
    """Return the discriminators' loss: recordings should have the score 1, and samples 0.

    Args:
        recordings: scores of the recordings by each discriminator, any shapes.
        samples: scores of the samples by each discriminator, any shapes.
    Returns:
        mean squared distance of the recordings' scores from 1, plus mean square of the samples'
        scores, each averaged over discriminators.
    """
    zeros = torch.stack([score.square().mean() for score in samples]).mean()
    return generator_loss(recordings) + zeros
