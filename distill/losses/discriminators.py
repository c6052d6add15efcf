"""Discriminators: networks that learn to tell samples from recordings by their spectrograms."""

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from dsp.stft import stft_magnitude


class SpectrogramDiscriminator(nn.Module):
    """Score regions of a log-magnitude spectrogram: recordings as 1, and samples as 0.

    Args:
        channels: width of the layers.
        resolution: points of the Fourier transform, samples from frame to frame, and samples of the
            window.
    References:
        UnivNet (Jang et al., 2021), sec. 2.2: the multi-resolution spectrogram discriminator, which
        reads magnitudes. This discriminator reads log-magnitudes. arXiv:2106.07889
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
        self.layers = nn.ModuleList(_convolution(*size) for size in sizes)

    def forward(self, waveform: Tensor) -> Tensor:
        """Score waveforms (B, 1, T).

        Returns:
            one score for each region: every frame, and every eighth bin, (B, 1, bins / 8, frames).
        """
        h = stft_magnitude(waveform, *self.resolution).log()[:, None]
        for layer in list(self.layers)[:-1]:
            h = F.leaky_relu(layer(h), 0.2)
        scores: Tensor = self.layers[-1](h)
        return scores


def _convolution(read: int, written: int, kernel: tuple[int, int], stride: int) -> nn.Module:
    padding = (kernel[0] // 2, kernel[1] // 2)
    convolution = nn.Conv2d(read, written, kernel, (stride, 1), padding)
    normalised: nn.Module = parametrizations.weight_norm(convolution)
    return normalised
