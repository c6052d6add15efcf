"""The voiced part of speech as a function of the conditioning: pulses at the pitch, filtered."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flows import CausalConvolution


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
    is linear in a hidden layer at the end of each frame; between the ends the taps go linearly from
    the one to the other, and to zero where a frame is unvoiced.

    Args:
        channels: of the hidden frames, H.
        hop_length: samples per frame.
        order: taps of the filter beside the first, K.
    References:
        Speech analysis and synthesis by linear prediction (Atal & Hanauer, 1971).
        DDSP (Engel et al., 2020), sec. 3: a filter at frame rate, differentiable. arXiv:2001.04643
    """

    def __init__(self, channels: int, hop_length: int, order: int) -> None:
        super().__init__()
        self.hop_length = hop_length
        self.hidden = nn.Conv1d(channels, channels, 1)
        self.filter = CausalConvolution(order, context_channels=channels)

    def set_initial_std(self, std: float) -> None:
        """Give an untrained filter the gain that makes unit power this deviation."""
        with torch.no_grad():
            self.filter.bias[0] = torch.tensor(std).log()

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
        self, pulses: Tensor, hidden: Tensor, voicing: Tensor, state: VoiceState | None = None
    ) -> tuple[Tensor, VoiceState]:
        """Filter the pulses of L frames.

        Args:
            pulses: p, shape (B, 1, L * hop_length).
            hidden: hidden frames, shape (B, H, L).
            voicing: gain of each frame's end, 0 to 1, shape (B, L).
            state: what the piece before left.
        Returns:
            v, shape (B, 1, L * hop_length), and the state for the next piece.
        """
        order, hop = self.filter.order, self.hop_length
        hidden = F.leaky_relu(self.hidden(hidden), 0.2)
        log_gain, taps = self.response(pulses, hidden)
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
