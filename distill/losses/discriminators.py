"""Discriminators: networks that learn to tell samples from recordings.

Some discriminators read spectrograms, others read waveforms that are folded at a period. A
discriminator learns to score recordings as 1 and samples as 0. It returns its scores and the
outputs of its layers.
"""

from itertools import pairwise
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from dsp.stft import stft_magnitude


class Verdict(NamedTuple):
    """The output of a discriminator: its scores of waveforms, and the features of its layers."""

    scores: Tensor
    """One score for each region of the input, shape (B, 1, height, width)."""
    features: list[Tensor]
    """Outputs of the layers before the last, shape (B, channels, height, width) each."""


class SpectrogramDiscriminator(nn.Module):
    """Score regions of a log-magnitude spectrogram.

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

    def forward(self, waveform: Tensor) -> Verdict:
        """Score waveforms (B, 1, T). Scores have the shape (B, 1, bins, frames), both reduced."""
        return _judge(self.layers, stft_magnitude(waveform, *self.resolution).log()[:, None])


class PeriodDiscriminator(nn.Module):
    """Score a waveform that is folded into rows of p samples.

    The kernels are one column wide. So a score depends only on samples whose distances are
    multiples of p samples.

    Args:
        channels: width of the first layer; the widest layers have 32 times as many channels.
        period: samples in a row, p.
    References:
        HiFi-GAN (Kong et al., 2020), sec. 2.3: the multi-period discriminator, with 32 channels.
        arXiv:2010.05646
    """

    def __init__(self, channels: int, period: int) -> None:
        super().__init__()
        self.period = period
        widths = [1, channels, 4 * channels, 16 * channels, 32 * channels]
        self.layers = nn.ModuleList(
            _convolution(read, written, (5, 1), 3) for read, written in pairwise(widths)
        )
        self.layers.append(_convolution(widths[-1], widths[-1], (5, 1), 1))
        self.layers.append(_convolution(widths[-1], 1, (3, 1), 1))

    def forward(self, waveform: Tensor) -> Verdict:
        """Score waveforms (B, 1, T), padded to whole rows. Scores: shape (B, 1, height, p)."""
        padded = F.pad(waveform, (0, -waveform.shape[-1] % self.period))
        return _judge(self.layers, padded.unflatten(-1, (-1, self.period)))


def _convolution(read: int, written: int, kernel: tuple[int, int], stride: int) -> nn.Module:
    padding = (kernel[0] // 2, kernel[1] // 2)
    convolution = nn.Conv2d(read, written, kernel, (stride, 1), padding)
    normalised: nn.Module = parametrizations.weight_norm(convolution)
    return normalised


def _judge(layers: nn.ModuleList, h: Tensor) -> Verdict:
    features = []
    for layer in list(layers)[:-1]:
        h = F.leaky_relu(layer(h), 0.2)
        features.append(h)
    return Verdict(layers[-1](h), features)
