"""Discriminators that tell samples from recordings by their spectrograms."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parametrizations

from distill.losses.spectral import SpectralConfig, stft_magnitude
from flows.precision import full_precision


@dataclass(frozen=True, kw_only=True)
class AdversarialConfig:
    """Size of the discriminators, and the step at which they come in.

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


class SpectrogramDiscriminator(nn.Module):
    """Score regions of a log-magnitude spectrogram; the target is 1 for recordings, 0 for samples.

    Args:
        channels: width of the layers.
        resolution: points, hop and window of the transform, in samples.
    References:
        UnivNet (Jang et al., 2021), sec. 2.2: the multi-resolution spectrogram discriminator. Here
        the discriminator reads log-magnitudes. arXiv:2106.07889
    """

    def __init__(self, channels: int, resolution: tuple[int, int, int]) -> None:
        super().__init__()
        self.resolution = resolution
        sizes = [  # channels read and written, bins and frames of the kernel, stride over bins
            (1, channels, (9, 3), 1),
            (channels, channels, (9, 3), 2),
            (channels, channels, (9, 3), 2),
            (channels, channels, (9, 3), 2),
            (channels, channels, (3, 3), 1),
            (channels, 1, (3, 3), 1),
        ]
        self.layers = nn.ModuleList(
            parametrizations.weight_norm(
                nn.Conv2d(
                    read, written, kernel, (stride, 1), padding=(kernel[0] // 2, kernel[1] // 2)
                )
            )
            for read, written, kernel, stride in sizes
        )

    def forward(self, waveform: Tensor) -> Tensor:
        """Score waveforms (B, 1, T); return scores of shape (B, 1, regions, frames)."""
        h = stft_magnitude(waveform, *self.resolution).log()[:, None]
        for layer in self.layers[:-1]:
            h = F.leaky_relu(layer(h), 0.2)
        scores: Tensor = self.layers[-1](h)
        return scores


class Adversary(nn.Module):
    r"""One discriminator per resolution, with least-squares losses for student and discriminators.

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
        self.discriminators = nn.ModuleList(
            SpectrogramDiscriminator(config.channels, resolution)
            for resolution in zip(
                spectral.fft_sizes, spectral.hop_lengths, spectral.win_lengths, strict=True
            )
        )

    def forward(self, waveform: Tensor) -> list[Tensor]:
        """Score waveforms (B, 1, T) at each resolution."""
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
    """Return a zero that depends on all parameters: the optimiser can always step all of them."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return torch.stack([0.0 * parameter.sum() for parameter in trained]).sum()


def generator_loss(scores: Sequence[Tensor]) -> Tensor:
    """Return the mean squared distance of samples' scores from 1, averaged over resolutions."""
    return torch.stack([(1 - score).square().mean() for score in scores]).mean()


def discriminator_loss(recordings: Sequence[Tensor], samples: Sequence[Tensor]) -> Tensor:
    """Return the mean squared distances of recordings' scores from 1 and samples' from 0, added."""
    zeros = torch.stack([score.square().mean() for score in samples]).mean()
    return generator_loss(recordings) + zeros
