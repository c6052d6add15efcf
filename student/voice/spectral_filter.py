"""Filters of an exported student: Fourier transforms as real matrix products, without an FFT."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsp.cepstrum import cepstra_of
from flows import CausalConvolution, Past
from flows.streaming_state import with_past
from student.voice.source import Voice


class CepstralTaps(nn.Module):
    """Compute `dsp.cepstrum.taps_from_cepstrum` by matrix products.

    Args:
        order: number of taps, K.
        points: points of the Fourier transform.
        like: a tensor with the dtype and device wanted.
    """

    to_spectrum: Tensor
    to_taps: Tensor

    def __init__(self, order: int, points: int, like: Tensor) -> None:
        super().__init__()
        self.register_buffer("to_spectrum", _analysis(1, order, points)[..., None].to(like))
        self.register_buffer("to_taps", _synthesis(1, order, points)[..., None].to(like))

    def forward(self, cepstrum: Tensor) -> Tensor:
        """Map cepstra (B, L, K) to taps (B, K, L), nearest sample first."""
        # With frames as columns, (B, ..., L), convolutions are traced for any number of frames.
        spectrum = F.conv1d(cepstrum.transpose(1, 2).contiguous(), self.to_spectrum)
        log_magnitude, phase = spectrum.chunk(2, 1)
        magnitude = log_magnitude.exp()
        response = torch.cat([magnitude * phase.cos(), magnitude * phase.sin()], 1)
        return F.conv1d(response, self.to_taps)


class SpectralVoice(Voice):
    """A `Voice` that filters by real matrix products.

    Args:
        voice: the trained voice; its layers are reused, not copied.
    """

    def __init__(self, voice: Voice) -> None:
        super().__init__(
            voice.channels,
            voice.num_features,
            voice.hop_length,
            voice.lowest,
            voice.order,
            voice.second.out_channels,
            voice.filters_per_frame,
            voice.breath_order,
        )
        self.first, self.second, self.heads = voice.first, voice.second, voice.heads
        self.highpass_taps, self.sharpness = voice.highpass_taps, voice.sharpness
        self.from_cepstra = CepstralTaps(voice.order, voice.points, voice.second.weight)

    def taps(self, raw: Tensor) -> Tensor:
        """Compute taps without an FFT; see `Voice.taps`."""
        rest = self.from_cepstra(cepstra_of(raw)).transpose(1, 2)
        return torch.cat([torch.ones_like(raw[..., :1]), rest], -1) * raw[..., :1].exp()

    def convolve(self, blocks: Tensor, taps: Tensor) -> tuple[Tensor, Tensor]:
        """Filter blocks of pulses without an FFT; see `Voice.convolve`."""
        # Window t holds the block from its sample t on. An exported `unfold` would gather single
        # samples, which is slow. So the block is repeated, and the repetitions are cut into rows
        # that are one sample longer than the block: row t then begins at the block's sample t.
        points, span = blocks.shape[-1], blocks.shape[-1] - self.order
        repeated = blocks[:, :, None].expand(-1, -1, span + 1, -1).flatten(2)
        rows = repeated[..., : span * (points + 1)].unflatten(2, (span, points + 1))
        windows = rows[..., : self.order + 1]
        pairs = torch.stack([taps[:, :-1], taps[:, 1:]], -1).flip(2)
        before, after = (windows @ pairs).unbind(-1)
        return before, after

    def highpass(self, extended: Tensor) -> Tensor:
        """High-pass a signal without an FFT; see `Voice.highpass`."""
        return F.conv1d(extended[:, None], self.highpass_taps.flip(0)[None, None])[:, 0]


class SpectralFilter(nn.Module):
    """Filter a signal as `CausalConvolution.forward` does, with Fourier transforms as matrices.

    Export formats have no complex numbers, and no convolutions with one group per frame. So each
    frame, joined to the earlier samples that its filter reads, is filtered in the frequency domain.

    Args:
        filter: a filter of one channel, with a context.
        span: samples per frame.
    """

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
        self.taps = CepstralTaps(order, 8 * order, filter.bias)
        matrices = {
            "of_taps": _analysis(0, order, points).flip(1),  # nearest sample last
            "of_block": _analysis(0, self.reach, points),
            "to_block": _synthesis(0, span, points),
        }
        for name, matrix in matrices.items():
            self.register_buffer(name, matrix[..., None].to(filter.bias))

    def forward(self, x: Tensor, frames: Tensor, past: Past | None = None) -> Tensor:
        """Filter a signal by the filters that the frames give, as `CausalConvolution.forward`.

        Args:
            x: signal, shape (B, 1, L * span).
            frames: context of the filter, shape (B, H, L).
            past: streaming state of a signal that comes in pieces.
        Returns:
            the filtered signal, shape (B, 1, L * span), without the log-determinant.
        """
        log_gain, cepstrum = self.filter.cepstra(x, frames)
        real, imaginary = F.conv1d(self.taps(cepstrum[:, 0]), self.of_taps).chunk(2, 1)
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
    """Return the angles 2 pi n w / points of a Fourier transform.

    Returns:
        angles, float64, shape (length, points / 2 + 1): rows are the times n from `first` on, and
        columns are the frequencies w.
    """
    steps = torch.outer(torch.arange(first, first + length), torch.arange(points // 2 + 1))
    return (steps % points).double() * (2 * math.pi / points)  # the remainder of integers is exact


def _analysis(first: int, length: int, points: int) -> Tensor:
    """Return the matrix that computes the spectrum of `length` samples, which begin at n = first.

    Returns:
        shape (points + 2, length): rows of the real parts, then rows of the imaginary parts.
    """
    angles = _angles(first, length, points)
    return torch.cat([angles.cos(), -angles.sin()], 1).T.contiguous()


def _synthesis(first: int, length: int, points: int) -> Tensor:
    """Return the matrix that computes samples of a real sequence from its spectrum.

    Returns:
        shape (length, points + 2), for `length` samples from n = first. The columns have the order
        of the rows of `_analysis`.
    """
    angles = _angles(first, length, points)
    weight = torch.full((points // 2 + 1,), 2.0 / points, dtype=angles.dtype)
    weight[[0, -1]] = 1.0 / points
    return torch.cat([angles.cos() * weight, -angles.sin() * weight], 1)
