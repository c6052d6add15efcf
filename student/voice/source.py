"""The voiced part of speech, computed from the conditioning: filtered pulses at the pitch."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsp.cepstrum import cepstra_of, cepstra_of_bands, taps_from_cepstrum
from dsp.filters.highpass import highpass, highpass_response
from dsp.interpolation import between_ends
from flows import as_matrix
from student.voice.filters import FilterHead, SourceFilters, sharpened

SPREAD = 0.85
"""Nats of amplitude by which `Envelope` overestimates the harmonics of speech (measured). Harmonics
glide within a window, and so spread over more bins of a mel band than steady harmonics."""
BREATH_BELOW, NOISE_BELOW = 1.5, 0.5
"""Nats by which the gains of the two untrained filters of noise lie below the gain of the voice's
filter: for noise where there is a voice (breath), and for noise where there is none."""
LOUDEST = 2.0
"""Largest amplitude of a voice (full scale is 1). Without the limit, conditioning frames that no
real sound has could give any amplitude. The networks read the voice, and their outputs would have
no bound either."""


class Envelope(NamedTuple):
    r"""The relation between conditioning frames and the amplitudes of a voice's harmonics.

    .. math:: \log a_m \approx \log f_0 + s\,c_b + o_b

    a_m is the amplitude of harmonic m, which lies in band b. f_0 is the pitch in Hz, and c_b is the
    value of the frame in band b.
    """

    hz: Tensor
    """Middle of each band, ascending, shape (M,)."""
    scale: float
    """Scale s: nats of amplitude per unit of a frame's values."""
    offset: Tensor
    """Offset o of each band, nats, shape (M,)."""


class VoiceState(NamedTuple):
    """Streaming state of a voice between two pieces; all zeros before the first piece."""

    taps: Tensor
    """Taps of the pulses' filter at the end of the last frame, shape (B, 1, K + 1)."""
    pulses: Tensor
    """The last K samples of the pulses, shape (B, 1, K)."""
    voicing: Tensor
    """Gain at the end of the last frame, shape (B, 1)."""
    breath: Tensor
    """Parameters of the noise's filter at the end of the last frame, shape (B, 1, J + 1); shape
    (B, 1, 0) if there is no such filter."""
    goes_on: Tensor
    """0 before the first piece, 1 after it, shape (B, 1)."""
    unfiltered: Tensor
    """The last N samples before the high-pass, shape (B, N)."""


class Voice(nn.Module):
    r"""Compute a voice, which is a filtered pulse train, and filters for the noise.

    The hidden frames determine all filters.

    .. math:: v_t = \sum_{k=0}^{K} h_{t,k}\, p_{t-k}, \qquad p_t = \sqrt{\tfrac{2}{M}}
              \sum_{m=1}^{M} \cos m\phi_t, \qquad M = \lfloor f_s / 2 f_t \rfloor

    The filters have minimum phase, as a vocal tract nearly has. Their log-spectra are linear in a
    hidden layer and in the conditioning around the end of a frame. A frame has S filters, evenly
    spaced; the last filter stands at the end of the frame. From filter to filter, the taps h are
    interpolated linearly. In unvoiced frames, they fall to zero.

    There are two filters for the noise: one where there is a voice (breath), and one where there is
    none. The voicing interpolates linearly between their log-spectra.

    A moving pitch or filter adds thuds below the pitch, which no real voice has. A high-pass at the
    lowest pitch removes the thuds.

    Args:
        channels: channels of the hidden frames, H.
        num_features: channels of the conditioning around the end of a frame.
        hop_length: samples per frame.
        lowest: lowest pitch, divided by the sample rate.
        order: number of taps of the pulses' filter, without the first tap, K.
        width: channels of the hidden layers.
        filters_per_frame: filters in each frame, S; divides hop_length.
        breath_order: number of taps of a noise's filter, without the first tap, J; 0 for no filters
            of noise.
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
        self.sharpness = 0.0  # see `ExcitationConfig.sharpness`
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
        """Number of parameters of a noise filter; 0 without noise filters."""
        return self.breath_order + 1 if self.breath_order else 0

    @property
    def points(self) -> int:
        """Number of points of the Fourier transform that computes taps from a cepstrum.

        With 4 K points, the response of a voice has died away at the end of the transform.
        """
        return 4 * self.order

    @property
    def span(self) -> int:
        """Samples from one filter to the next."""
        return self.hop_length // self.filters_per_frame

    def set_initial_std(self, std: float) -> None:
        """Set the gain of untrained filters, so that input of power 1 gets this deviation."""
        with torch.no_grad():
            for head in self._filter_heads:
                head.log_gains.fill_(math.log(std))

    @torch.no_grad()
    def set_envelope(
        self, envelope: Envelope, mean: Tensor, std: Tensor, pitch_hz: float, sample_rate: int
    ) -> None:
        r"""Initialise the filters with the spectral envelope that the conditioning frames have.

        .. math:: c_k = \frac2\pi \int_0^\pi \log|H(\omega)| \cos k\omega\, d\omega

        Args:
            envelope: relation between the first rows of the conditioning and the spectrum.
            mean: mean of every row, shape (M,).
            std: standard deviation of every row, shape (M,).
            pitch_hz: a typical pitch.
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

    def initial_state(self, like: Tensor) -> VoiceState:
        """Return the state before the first piece.

        Args:
            like: a tensor with the state's batch size, dtype and device.
        """
        sizes = [(1, self.order + 1), (1, self.order), (1,), (1, self.num_breath), (1,)]
        sizes += [(len(self.highpass_taps) - 1,)]
        return VoiceState(*(like.new_zeros(like.shape[0], *size) for size in sizes))

    def filters(self, frames: Tensor) -> SourceFilters:
        """Compute the filters of the voice and of the noise from L frames.

        Args:
            frames: hidden frames and conditioning; see `forward`.
        Returns:
            L * S filters of each kind.
        """
        # For few frames, matrix products of rows are faster than convolutions of width 1.
        rows = frames.transpose(1, 2)
        hidden = F.leaky_relu(F.linear(rows, *as_matrix(self.first)), 0.2)
        hidden = hidden + F.leaky_relu(F.linear(hidden, *as_matrix(self.second)), 0.2)
        read = torch.cat([hidden, rows[..., self.channels :]], 2)
        found = [head(read) for head in self.heads]
        if self.sharpness:
            found[0] = sharpened(found[0], self.sharpness)
        if not self.breath_order:
            found += [found[0][..., :0]] * 2
        return SourceFilters(*found)

    def taps(self, raw: Tensor) -> Tensor:
        """Compute the taps of filters from their parameters.

        Args:
            raw: a log-gain and k c_k of each filter, shape (B, N, K + 1).
        Returns:
            taps, nearest sample first, shape (B, N, K + 1).
        """
        rest = taps_from_cepstrum(cepstra_of(raw), self.points)
        return F.pad(rest, (1, 0), value=1.0) * raw[..., :1].exp()

    def convolve(self, blocks: Tensor, taps: Tensor) -> tuple[Tensor, Tensor]:
        """Filter each block of pulses twice: by the filters at its start and at its end.

        Args:
            blocks: pulses of N blocks, each with the K samples before it, shape
                (B, N, K + span).
            taps: N + 1 filters, shape (B, N + 1, K + 1).
        Returns:
            both filtered signals, shape (B, N, span) each.
        """
        points = blocks.shape[-1]  # only the first K samples wrap around; they are cut off
        spectra, driven = torch.fft.rfft(taps, n=points), torch.fft.rfft(blocks)
        before: Tensor = torch.fft.irfft(spectra[:, :-1] * driven, n=points)
        after: Tensor = torch.fft.irfft(spectra[:, 1:] * driven, n=points)
        return before[..., self.order :], after[..., self.order :]

    def highpass(self, extended: Tensor) -> Tensor:
        """High-pass a signal; see `dsp.filters.highpass.highpass`.

        Args:
            extended: N earlier samples, then T samples, shape (B, N + T). The filter has N + 1
                taps.
        Returns:
            the filtered T samples, shape (B, T).
        """
        return highpass(extended, self.highpass_taps)

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
            frames: hidden frames and, below each hidden frame, the normalised conditioning around
                the frame's end, shape (B, H + num_features, L).
            voicing: gain at each frame's end, 0 to 1, shape (B, L).
            state: state after the previous piece; None for the first piece.
        Returns:
            the voice v, shape (B, 1, L * hop_length); parameters of the noise's filter from the
            start of the piece to its end, shape (B, L * S + 1, J + 1); the state for the next
            piece.
        """
        order, span = self.order, self.span
        filters = self.filters(frames)
        if state is None:
            state = self.initial_state(pulses)
        goes_on = state.goes_on > 0
        before = torch.where(goes_on, state.voicing, voicing[:, :1])
        gain = between_ends(voicing, self.filters_per_frame, before).flatten(1)[..., None]
        taps = self.taps(filters.voice) * gain
        breath = torch.lerp(filters.noise, filters.breath, gain)
        # At the start of an utterance, the first filters also stand for the time before them.
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
