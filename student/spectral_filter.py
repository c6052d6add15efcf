"""A filter that follows the context, in real matrix products alone: for formats without an FFT."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flows import CausalConvolution, Past
from flows.past import with_past


class SpectralFilter(nn.Module):
    """`CausalConvolution.forward`, with the discrete Fourier transforms as matrices.

    A format for export knows neither complex numbers nor convolutions with as many groups as there
    are frames. Each frame, with the past its filter reads, is filtered by way of its spectrum.

    Args:
        filter: of one channel, with a context.
        span: samples per frame.
    """

    to_spectrum: Tensor
    to_taps: Tensor
    of_taps: Tensor
    of_block: Tensor
    to_block: Tensor

    def __init__(self, filter: CausalConvolution, span: int) -> None:
        super().__init__()
        self.filter = filter
        self.span = span
        order = filter.order
        self.reach = span + order - 1
        points = 1 << (self.reach - 1).bit_length()
        matrices = {
            "to_spectrum": _analysis(1, order, 8 * order),  # see flows.taps_from_cepstrum
            "to_taps": _synthesis(1, order, 8 * order),
            "of_taps": _analysis(0, order, points).flip(1),  # nearest sample last
            "of_block": _analysis(0, self.reach, points),
            "to_block": _synthesis(0, span, points),
        }
        for name, matrix in matrices.items():
            self.register_buffer(name, matrix[..., None].to(filter.bias))

    def forward(self, x: Tensor, frames: Tensor, past: Past | None = None) -> Tensor:
        """Filter a signal (B, 1, L * span) under hidden frames (B, H, L)."""
        log_gain, cepstrum = self.filter.cepstra(x, frames)
        # A column a frame, (B, ..., L): convolutions are traced for any number of them.
        spectrum = F.conv1d(cepstrum[:, 0].transpose(1, 2).contiguous(), self.to_spectrum)
        log_magnitude, phase = spectrum.chunk(2, 1)
        magnitude = log_magnitude.exp()
        response = torch.cat([magnitude * phase.cos(), magnitude * phase.sin()], 1)
        real, imaginary = F.conv1d(F.conv1d(response, self.to_taps), self.of_taps).chunk(2, 1)
        before = with_past(x, self.filter.order, past)[..., :-1]
        blocks = before.unfold(-1, self.reach, self.span)[:, 0].transpose(1, 2).contiguous()
        block_real, block_imaginary = F.conv1d(blocks, self.of_block).chunk(2, 1)
        products = [
            block_real * real + block_imaginary * imaginary,
            block_imaginary * real - block_real * imaginary,
        ]
        columns = x.view(x.shape[0], frames.shape[-1], self.span).transpose(1, 2).contiguous()
        filtered = columns + F.conv1d(torch.cat(products, 1), self.to_block)
        return (filtered * log_gain.exp()).transpose(1, 2).contiguous().view_as(x)


def _angles(first: int, length: int, points: int) -> Tensor:
    """2 pi n w / points for n from `first` and all frequencies w, (length, points / 2 + 1)."""
    steps = torch.outer(torch.arange(first, first + length), torch.arange(points // 2 + 1))
    return (steps % points).double() * (2 * math.pi / points)  # reduced while it is exact


def _analysis(first: int, length: int, points: int) -> Tensor:
    """From a sequence n = first, ... to its spectrum, real and imaginary halves."""
    angles = _angles(first, length, points)
    return torch.cat([angles.cos(), -angles.sin()], 1).T.contiguous()


def _synthesis(first: int, length: int, points: int) -> Tensor:
    """From the two halves of a real sequence's spectrum to n = first, ..."""
    angles = _angles(first, length, points)
    weight = torch.full((points // 2 + 1,), 2.0 / points, dtype=angles.dtype)
    weight[[0, -1]] = 1.0 / points
    return torch.cat([angles.cos() * weight, -angles.sin() * weight], 1)
