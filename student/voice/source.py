"""The voiced part of speech as a function of the conditioning: pulses at the pitch, filtered."""

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy import fft, signal
from torch import Tensor, nn

from flows import as_matrix, cepstra_of, taps_from_cepstrum
from student.voice.filters import FilterHead, SourceFilters, cepstra_of_bands
from student.voice.pitch_predictor import between_ends

SPREAD = 0.85
"""Nats that bands of magnitudes read too much of speech, whose harmonics glide through a window and
spread over more bins (measured)."""
BREATH_BELOW, NOISE_BELOW = 1.5, 0.5
"""Nats that untrained filters of noise, beside a voice and without one, are below a voice's."""
LOUDEST = 2.0
"""Of a voice. Frames that are no sound's may ask for any: the networks, which read it, would answer
with numbers beyond all bounds."""


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
    """What the voice of one piece leaves to the next; all zeros where there was none."""

    taps: Tensor
    """Filter at the end of the last frame, shape (B, 1, K + 1)."""
    pulses: Tensor
    """The last K samples of the pulses, shape (B, 1, K)."""
    voicing: Tensor
    """Gain at the end of the last frame, shape (B, 1)."""
    breath: Tensor
    """Parameters of the breath's filter there, shape (B, 1, J + 1), without channels if there is
    none."""
    goes_on: Tensor
    """1 where there was a piece before, shape (B, 1)."""
    unfiltered: Tensor
    """Last samples before the high-pass, shape (B, N)."""


class Voice(nn.Module):
    r"""Filter a pulse train by a response that follows the hidden frames; filters for noise beside.

    .. math:: v_t = \sum_{k=0}^{K} h_{t,k}\, p_{t-k}, \qquad p_t = \sqrt{\tfrac{2}{M}}
              \sum_{m=1}^{M} \cos m\phi_t, \qquad M = \lfloor f_s / 2 f_t \rfloor

    The filters have minimum phase, as a vocal tract excited by its folds nearly has. Their
    log-spectra are linear in a hidden layer and the conditioning around the end of a frame; there
    are S of them for each frame, evenly spaced, the last at its end. From the one to the next the
    pulses' taps go linearly, and to zero where a frame is unvoiced; the log-spectrum of the noise
    goes linearly from that beside a voice to that without one.

    Where pitch or filter move, so does what a pulse has below its pitch: thuds that no voice has. A
    high-pass at the lowest pitch takes them out.

    Args:
        channels: of the hidden frames, H.
        num_features: of the conditioning around the end of a frame.
        hop_length: samples per frame.
        lowest: pitch of all, over the sample rate.
        order: taps of the pulses' filter beside the first, K.
        width: of the hidden layers.
        filters_per_frame: S, divides hop_length.
        breath_order: taps of the noise's filter beside the first, J; 0 for no such filter.
    References:
        Speech analysis and synthesis by linear prediction (Atal & Hanauer, 1971).
        DDSP (Engel et al., 2020), sec. 3: a filter at frame rate, differentiable. arXiv:2001.04643
        WORLD (Morise et al., 2016): pulses and noise, each by its own spectral envelope.
    """

    highpass_taps: Tensor

    def __init__(
        self,
        channels: int,
        num_features: int,
        hop_length: int,
        lowest: float,
        order: int,
        width: int,
        filters_per_frame: int = 1,
        breath_order: int = 0,
    ) -> None:
        super().__init__()
        self.channels, self.num_features = channels, num_features
        self.hop_length = hop_length
        self.order, self.breath_order = order, breath_order
        self.filters_per_frame = filters_per_frame
        self.lowest = lowest
        self.register_buffer("highpass_taps", highpass_response(lowest), persistent=False)
        self.first = nn.Conv1d(channels + num_features, width, 1)
        self.second = nn.Conv1d(width, width, 1)
        orders = [order] + [breath_order] * 2 * (breath_order > 0)
        self.heads = nn.ModuleList(
            FilterHead(width, num_features, order, filters_per_frame) for order in orders
        )

    @property
    def _filter_heads(self) -> list[FilterHead]:
        return [head for head in self.heads if isinstance(head, FilterHead)]

    @property
    def num_breath(self) -> int:
        """Parameters of a filter of noise; 0 if there is none."""
        return self.breath_order + 1 if self.breath_order else 0

    @property
    def points(self) -> int:
        """Of the transform from a cepstrum to taps: a voice has died away by their end."""
        return 4 * self.order

    @property
    def span(self) -> int:
        """Samples from one filter to the next."""
        return self.hop_length // self.filters_per_frame

    def set_initial_std(self, std: float) -> None:
        """Give untrained filters the gain that makes unit power this deviation."""
        with torch.no_grad():
            for head in self._filter_heads:
                head.log_gains.fill_(math.log(std))

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
        bands = envelope.hz.shape[0]
        # A pulse train of unit power has M harmonics of amplitude sqrt(2 / M).
        level = math.log(pitch_hz) - 0.5 * math.log(4 * pitch_hz / sample_rate) - SPREAD
        constant = envelope.scale * mean[:bands].double() + envelope.offset.double() + level
        slope = envelope.scale * std[:bands].double()
        for head, lower in zip(self._filter_heads, (0.0, BREATH_BELOW, NOISE_BELOW), strict=False):
            of_bands = cepstra_of_bands(head.order, envelope.hz.double(), sample_rate)
            head.set_linear(of_bands * slope, of_bands @ constant, mean.shape[0])
            head.log_gains.sub_(lower)

    def sharpen(self, amount: float) -> None:
        """Deepen the spectrum of the pulses' filter; see `Student.sharpen`."""
        self._filter_heads[0].sharpen(amount)

    def at_rest(self, like: Tensor) -> VoiceState:
        """Return the state before the first piece, of a batch (B, ...)."""
        sizes = [(1, self.order + 1), (1, self.order), (1,), (1, self.num_breath), (1,)]
        sizes += [(len(self.highpass_taps) - 1,)]
        return VoiceState(*(like.new_zeros(like.shape[0], *size) for size in sizes))

    def filters(self, frames: Tensor) -> SourceFilters:
        """Compute the filters of L frames, S of each; frames as `forward`'s."""
        # In rows: matrix products of few frames are faster than convolutions of width 1.
        rows = frames.transpose(1, 2)
        hidden = F.leaky_relu(F.linear(rows, *as_matrix(self.first)), 0.2)
        hidden = hidden + F.leaky_relu(F.linear(hidden, *as_matrix(self.second)), 0.2)
        read = torch.cat([hidden, rows[..., self.channels :]], 2)
        found = [head(read) for head in self.heads]
        if not self.breath_order:
            found += [found[0][..., :0]] * 2
        return SourceFilters(*found)

    def taps(self, raw: Tensor) -> Tensor:
        """Turn parameters (B, N, K + 1) into taps, the first one included; same shape."""
        rest = taps_from_cepstrum(cepstra_of(raw), self.points)
        return F.pad(rest, (1, 0), value=1.0) * raw[..., :1].exp()

    def convolve(self, blocks: Tensor, taps: Tensor) -> tuple[Tensor, Tensor]:
        """Filter blocks of pulses by the filter before and by that at their end.

        Args:
            blocks: pulses and the K before them, shape (B, N, K + span).
            taps: N + 1 filters, shape (B, N + 1, K + 1).
        Returns:
            shape (B, N, span) each.
        """
        points = blocks.shape[-1]  # what wraps around falls on the K samples that are left out
        spectra, driven = torch.fft.rfft(taps, n=points), torch.fft.rfft(blocks)
        before: Tensor = torch.fft.irfft(spectra[:, :-1] * driven, n=points)
        after: Tensor = torch.fft.irfft(spectra[:, 1:] * driven, n=points)
        return before[..., self.order :], after[..., self.order :]

    def highpass(self, extended: Tensor) -> Tensor:
        """Filter a signal that the past its filter reads precedes: (B, N + T) to (B, T)."""
        past = len(self.highpass_taps) - 1
        samples = extended.shape[-1] - past
        # Of one length for all of a long signal, what takes most of the time are its transforms.
        whole, block = (fft.next_fast_len(n, real=True) for n in (extended.shape[-1], 3 * past))
        points = min(whole, block)
        extended = F.pad(extended, (0, -samples % (points - past)))
        blocks = torch.fft.rfft(extended.unfold(-1, points, points - past))
        spectrum = torch.fft.rfft(self.highpass_taps, n=points)
        # What wraps around falls on the past, which is left out.
        filtered: Tensor = torch.fft.irfft(blocks * spectrum, n=points)[..., past:]
        return filtered.flatten(1)[:, :samples]

    def forward(
        self,
        pulses: Tensor,
        frames: Tensor,
        voicing: Tensor,
        state: VoiceState | None = None,
    ) -> tuple[Tensor, Tensor, VoiceState]:
        """Filter the pulses of L frames.

        Args:
            pulses: p, shape (B, 1, L * hop_length).
            frames: hidden ones and the normalised conditioning around the end of each, shape
                (B, H + num_features, L).
            voicing: gain of each frame's end, 0 to 1, shape (B, L).
            state: what the piece before left.
        Returns:
            v, shape (B, 1, L * hop_length); parameters of the noise's filter, shape
            (B, L * S + 1, J + 1), from the start of the piece to its end; the state for the next.
        """
        order, span = self.order, self.span
        filters = self.filters(frames)
        if state is None:
            state = self.at_rest(pulses)
        goes_on = state.goes_on > 0
        before = torch.where(goes_on, state.voicing, voicing[:, :1])
        gain = between_ends(voicing, self.filters_per_frame, before).flatten(1)[..., None]
        taps = self.taps(filters.voice) * gain
        breath = torch.lerp(filters.noise, filters.breath, gain)
        # Nothing is known of what precedes the first filters: they are taken to have been there.
        first_taps = torch.where(goes_on[..., None], state.taps, taps[:, :1])
        first_breath = torch.where(goes_on[..., None], state.breath, breath[:, :1])
        taps, breath = torch.cat([first_taps, taps], 1), torch.cat([first_breath, breath], 1)
        extended = torch.cat([state.pulses, pulses], -1)[:, 0]
        first, last = self.convolve(extended.unfold(-1, span + order, span), taps)
        rise = torch.arange(1, span + 1, dtype=pulses.dtype, device=pulses.device) / span
        unfiltered = torch.cat([state.unfiltered, torch.lerp(first, last, rise).flatten(1)], -1)
        voice = self.highpass(unfiltered).clamp(-LOUDEST, LOUDEST)
        end = extended[:, None, extended.shape[-1] - order :].clone()
        ones = torch.ones_like(voicing[:, -1:])
        past = unfiltered[:, voice.shape[1] :].clone()
        state = VoiceState(taps[:, -1:], end, voicing[:, -1:], breath[:, -1:], ones, past)
        return voice[:, None], breath, state


def highpass_response(cutoff: float) -> Tensor:
    """Return the impulse response of a Butterworth high-pass of order 4, for three periods.

    Args:
        cutoff: frequency of -3 dB, over the sample rate.
    """
    impulse = np.zeros(math.ceil(3 / cutoff))
    impulse[0] = 1.0
    sections = signal.butter(4, 2 * cutoff, "highpass", output="sos")
    return torch.from_numpy(signal.sosfilt(sections, impulse)).to(torch.get_default_dtype())


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
