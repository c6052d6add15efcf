"""The voiced part of speech as a function of the conditioning: pulses at the pitch, filtered."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flows import CausalConvolution

SPREAD = 0.85
"""Nats that bands of magnitudes read too much of speech, whose harmonics glide through a window and
spread over more bins (measured)."""


class Envelope(NamedTuple):
    r"""How conditioning frames show the spectrum of a voice.

    .. math:: \log a_m \approx \log f_0 + s\,c_b + o_b

    with the amplitude a of a harmonic in band b, and c the frame's value there.
    """

    hz: Tensor
    """Middle of each band, ascending, shape (M,)."""
    scale: float
    """s, nats of amplitude for a unit of the frames."""
    offset: Tensor
    """o, nats, shape (M,)."""


class VoiceState(NamedTuple):
    """What the voice of one piece leaves to the next."""

    taps: Tensor
    """Filter at the end of the last frame, shape (B, 1, K + 1)."""
    pulses: Tensor
    """The last K samples of the pulses, shape (B, 1, K)."""


class Voice(nn.Module):
    r"""Filter a pulse train by a response that follows the hidden frames.

    .. math:: v_t = \sum_{k=0}^{K} h_{t,k}\, p_{t-k}, \qquad p_t = \sqrt{\tfrac{2}{M}}
              \sum_{m=1}^{M} \cos m\phi_t, \qquad M = \lfloor f_s / 2 f_t \rfloor

    The filter has minimum phase, as a vocal tract excited by its folds nearly has. Its log-spectrum
    is linear in a hidden layer and the conditioning at the end of each frame; between the ends the
    taps go linearly from the one to the other, and to zero where a frame is unvoiced.

    Args:
        channels: of the hidden frames, H.
        num_features: of the conditioning around the end of a frame.
        hop_length: samples per frame.
        order: taps of the filter beside the first, K.
    References:
        Speech analysis and synthesis by linear prediction (Atal & Hanauer, 1971).
        DDSP (Engel et al., 2020), sec. 3: a filter at frame rate, differentiable. arXiv:2001.04643
    """

    def __init__(self, channels: int, num_features: int, hop_length: int, order: int) -> None:
        super().__init__()
        self.hop_length = hop_length
        self.hidden = nn.Conv1d(channels, channels, 1)
        self.filter = CausalConvolution(order, context_channels=channels + num_features)

    def set_initial_std(self, std: float) -> None:
        """Give an untrained filter the gain that makes unit power this deviation."""
        with torch.no_grad():
            self.filter.bias[0] = torch.tensor(std).log()

    @torch.no_grad()
    def set_envelope(
        self, envelope: Envelope, mean: Tensor, std: Tensor, pitch_hz: float, sample_rate: int
    ) -> None:
        r"""Start from the spectral envelope that the conditioning shows, whatever the pitch.

        .. math:: c_k = \frac2\pi \int_0^\pi \log|H(\omega)| \cos k\omega\, d\omega

        Args:
            envelope: of the first rows of the conditioning.
            mean: of every row, shape (M,).
            std: likewise.
            pitch_hz: a usual pitch.
            sample_rate: Hz.
        """
        bands, channels = envelope.hz.shape[0], self.hidden.in_channels
        frames = (self.filter.context_channels - channels) // mean.shape[0]
        points = 8 * self.filter.order
        hz = (torch.arange(points).double() + 0.5) / points * sample_rate / 2
        place = torch.searchsorted(envelope.hz.double(), hz).clamp(1, bands - 1)
        low, high = envelope.hz.double()[place - 1], envelope.hz.double()[place]
        rise = ((hz - low) / (high - low)).clamp(0, 1)
        between = torch.zeros(points, bands, dtype=hz.dtype)
        between[torch.arange(points), place - 1] = 1 - rise
        between[torch.arange(points), place] += rise
        index = torch.arange(self.filter.order + 1).double()
        cosines = torch.cos(torch.outer(index, torch.pi * 2 * hz / sample_rate)) / points
        # Half the constant: c_k has a factor of 2, the gain has none. The filter's parameters are
        # the gain and k c_k.
        cosines = cosines * torch.where(index == 0, 1.0, 2 * index)[:, None]
        raw = cosines @ between  # (K + 1, bands)
        # A pulse train of unit power has M harmonics of amplitude sqrt(2 / M).
        level = math.log(pitch_hz) - 0.5 * math.log(4 * pitch_hz / sample_rate) - SPREAD
        constant = envelope.scale * mean[:bands].double() + envelope.offset.double() + level
        assert self.filter.projection is not None
        weight = self.filter.projection.weight[:, channels:, 0].unflatten(1, (frames, -1))
        found = raw * (envelope.scale * std[:bands].double())
        nearest = slice((frames - 1) // 2, frames // 2 + 1)  # the two on each side of the end
        share = (found / len(range(frames)[nearest]))[:, None]
        weight[:, nearest, :bands] = share.to(weight)
        self.filter.bias[:, 0] = (raw @ constant).to(self.filter.bias)

    def response(self, pulses: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Compute log-gains (B, 1, L) and taps (B, 1, L, K) at the ends of frames."""
        return self.filter.filters(pulses, hidden)

    def convolve(self, blocks: Tensor, taps: Tensor) -> Tensor:
        """Filter blocks of pulses by each of several filters.

        Args:
            blocks: a frame's pulses and the K before them, shape (B, L, K + hop_length).
            taps: of each frame's filters, shape (B, L, n, K + 1).
        Returns:
            shape (B, L, n, hop_length).
        """
        points = blocks.shape[-1]  # what wraps around falls on the K samples that are left out
        spectra = torch.fft.rfft(taps, n=points) * torch.fft.rfft(blocks)[:, :, None]
        filtered: Tensor = torch.fft.irfft(spectra, n=points)[..., self.filter.order :]
        return filtered

    def forward(
        self,
        pulses: Tensor,
        frames: Tensor,
        voicing: Tensor,
        state: VoiceState | None = None,
    ) -> tuple[Tensor, VoiceState]:
        """Filter the pulses of L frames.

        Args:
            pulses: p, shape (B, 1, L * hop_length).
            frames: hidden ones and the normalised conditioning around the end of each, shape
                (B, H + num_features, L).
            voicing: gain of each frame's end, 0 to 1, shape (B, L).
            state: what the piece before left.
        Returns:
            v, shape (B, 1, L * hop_length), and the state for the next piece.
        """
        order, hop = self.filter.order, self.hop_length
        hidden, features = frames.tensor_split([self.hidden.in_channels], 1)
        read = torch.cat([F.leaky_relu(self.hidden(hidden), 0.2), features], 1)
        log_gain, taps = self.response(pulses, read)
        taps = F.pad(taps, (1, 0), value=1.0) * log_gain.exp()[..., None]
        taps = (taps * voicing[:, None, :, None]).flatten(0, 1)  # (B, L, K + 1)
        if state is None:
            state = VoiceState(taps[:, :1], pulses.new_zeros(pulses.shape[0], 1, order))
        before = torch.cat([state.taps, taps[:, :-1]], 1)
        extended = torch.cat([state.pulses, pulses], -1)[:, 0]
        blocks = extended.unfold(-1, hop + order, hop)
        first, last = self.convolve(blocks, torch.stack([before, taps], 2)).unbind(2)
        rise = torch.arange(1, hop + 1, dtype=pulses.dtype, device=pulses.device) / hop
        voice = torch.lerp(first, last, rise).flatten(1)
        state = VoiceState(taps[:, -1:], extended[:, None, extended.shape[-1] - order :].clone())
        return voice[:, None], state


def pulse_train(cycles: Tensor, hz: Tensor, sample_rate: int) -> Tensor:
    r"""Add up all harmonics below half the sample rate, to a power of 1.

    .. math:: \sum_{m=1}^{M} \cos m\phi = \frac{\sin((M + \frac12)\phi)}{2 \sin(\phi / 2)} -
              \frac12

    Args:
        cycles: running phase over 2 pi, float64, any shape.
        hz: pitch there, same shape.
        sample_rate: Hz.
    Returns:
        p of `Voice`, float64, same shape.
    """
    count = (sample_rate / (2 * hz)).floor()
    # In half a cycle of either side the quotient is that of small numbers only at the pulse itself.
    half = torch.pi * (cycles - cycles.round())
    at_pulse = half.abs() < 1e-6
    sine = torch.where(at_pulse, 1.0, half.sin())
    quotient = torch.where(at_pulse, 2 * count + 1, ((2 * count + 1) * half).sin() / sine)
    return (2 / count).sqrt() * (quotient - 1) / 2
