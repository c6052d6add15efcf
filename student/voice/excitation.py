"""A harmonic excitation as context: what phase a voiced sound has is hard to invent."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flows import Fold, FrameContext
from flows.precision import full_precision
from student.voice.alignment import aligned_cycles
from student.voice.filters import SourceFilters
from student.voice.pitch_predictor import MeasuredVoice, Pitch, PitchPredictor
from student.voice.source import Envelope, Voice, VoiceState, pulse_train


@dataclass(frozen=True, kw_only=True)
class ExcitationConfig:
    """What drives a frame student beside noise, and the range of its pitch.

    Args:
        kind: "none" as in the papers; "harmonic": a sine and a cosine of the pitch; "voice": both,
            and a filtered pulse train, which is added to the waveform, too.
        sample_rate: of the waveforms, Hz.
        fmin_hz: lowest pitch.
        fmax_hz: highest pitch.
        voice_order: taps of the filter of "voice" beside the first.
        voice_channels: width of the layers that make up the voice's filters.
        filters_per_frame: filters of a voice, and of the noise beside it, per conditioning frame.
        pitch_channels: width of the layers that predict the pitch.
        breath: gain of what the flow draws beside a voice. It is not learnt, and a flow in training
            makes up for it: to be lowered afterwards, where a trained student is too rough.
    """

    kind: Literal["none", "harmonic", "voice"] = "none"
    sample_rate: int = 16000
    fmin_hz: float = 60.0
    fmax_hz: float = 400.0
    voice_order: int = 192
    voice_channels: int = 256
    filters_per_frame: int = 1
    pitch_channels: int = 128
    breath: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in ("none", "harmonic", "voice"):
            raise ValueError(
                f"student.excitation.kind is {self.kind!r}, expected 'none', 'harmonic' or 'voice'"
            )
        if not 0 < self.breath <= 1 or (self.breath < 1 and self.kind != "voice"):
            raise ValueError(
                f"student.excitation.breath is {self.breath}, expected more than 0, at most 1, and "
                "1 without a voice"
            )
        for name in ("voice_order", "voice_channels", "filters_per_frame", "pitch_channels"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"student.excitation.{name} is {getattr(self, name)}, expected at least 1"
                )
        if not 0 < self.fmin_hz < self.fmax_hz <= self.sample_rate / 4:
            raise ValueError(
                f"student.excitation has fmin_hz {self.fmin_hz} and fmax_hz {self.fmax_hz}, "
                f"expected 0 < fmin_hz < fmax_hz <= a quarter of sample_rate {self.sample_rate}"
            )


class Phase(NamedTuple):
    """Where an excitation is between two frames."""

    hz: Tensor
    """Pitch there, float64, shape (B, 1); 0 before the first frame."""
    cycles: Tensor
    """Its phase in cycles, float64, shape (B, 1)."""


class ExcitationState(NamedTuple):
    """What the excitation of one piece leaves to the next."""

    phase: Phase
    voice: VoiceState | None


class ExcitedContext(nn.Module):
    r"""Hidden frames that carry a sine and a cosine of the pitch, at the rate of the folded signal.

    .. math:: u_t = v \cos 2\pi\phi_t, \quad w_t = v \sin 2\pi\phi_t, \qquad
              \phi_t = \phi_{t-1} + \frac{f_{t-1} + f_t}{2 f_s}

    Pitch and voicing v (0 or 1) are predicted from the conditioning alone, or a part of it, at the
    end of each frame; between the ends f goes linearly. The two signals are folded as the student's
    are, r samples to a step, and a layer joins them to the hidden frames. They are a function of
    the conditioning: the density given it stays what it is. The waveform's gradient does not reach
    a predicted pitch, which is trained on its own (`Distillation`'s `pitch`).

    With a voice, the last r channels carry it folded: the networks read what is voiced of the
    waveform, and a `ContextShift` after them adds it. The first `breath_order` + 1 are then the
    parameters of a filter for the networks' output, see `ContextFilter`.

    Args:
        frames: the network of the conditioning, of H channels, followed by those that the pitch
            is predicted from, if it is, and by the features, for a voice, which reads them all.
        channels: H.
        hop_length: samples per conditioning frame.
        frame_length: samples per step, r; divides hop_length.
        config: range of the pitch.
        pitch_row: row of the conditioning that is log2 of the pitch in Hz, the voicing below it;
            None to predict them.
        breath_order: taps of the filter beside a voice; 0 for none.
    References:
        Neural source-filter waveform models (Wang et al., 2019), sec. II.A: a sine excitation with
        the pitch's running phase. arXiv:1904.12088
    """

    def __init__(
        self,
        frames: FrameContext,
        channels: int,
        hop_length: int,
        frame_length: int,
        config: ExcitationConfig,
        pitch_row: int | None = None,
        breath_order: int = 0,
    ) -> None:
        super().__init__()
        self.frames = frames
        self.hop_length = hop_length
        self.fold = Fold(frame_length, num_channels=2)
        self.fold_voice = Fold(frame_length)
        self.config = config
        self.channels = channels
        self.pitch_row = pitch_row
        self.predictor: PitchPredictor | None = None
        if pitch_row is None:
            self.predictor = PitchPredictor(config.pitch_channels, config.fmin_hz, config.fmax_hz)
        self.join = nn.Conv1d(channels + 2 * frame_length, channels, 1)
        self.voice: Voice | None = None
        if config.kind == "voice":
            width = channels + config.pitch_channels * (pitch_row is None)
            self.voice = Voice(
                width,
                frames.num_added,
                hop_length,
                config.fmin_hz / config.sample_rate,
                config.voice_order,
                config.voice_channels,
                config.filters_per_frame,
                breath_order,
            )

    @property
    def margin(self) -> int:
        """Conditioning frames seen before and after each."""
        return self.frames.margin

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Store the corpus's mean and standard deviation per band, shape (M,) each."""
        self.frames.set_statistics(mean, std)

    def set_envelope(self, envelope: Envelope) -> None:
        """Give an untrained voice the spectral envelope that the features show."""
        if self.voice is not None:
            middle = math.sqrt(self.config.fmin_hz * self.config.fmax_hz)
            mean, std = self.frames.mean[:, 0], self.frames.std[:, 0]
            self.voice.set_envelope(envelope, mean, std, middle, self.config.sample_rate)

    def set_initial_std(self, std: float) -> None:
        """Give an untrained voice this deviation."""
        if self.voice is not None:
            self.voice.set_initial_std(std)

    def forward(
        self,
        features: Tensor,
        num_frames: int,
        measured: MeasuredVoice | None = None,
    ) -> Tensor:
        """Compute hidden frames of a whole utterance, or of a clip whose phase starts at 0.

        Args:
            features: as `FrameContext.forward`'s.
            num_frames: conditioning frames wanted, L.
            measured: of the recording, in training: its pitch is taken for a predicted one, and
                the pulses come when its own do.
        Returns:
            hidden frames, shape (B, H, L * hop_length / r), with r more channels for a voice.
        """
        hidden = self.frames(features, num_frames)
        first = (features.shape[-1] - num_frames) // 2  # neighbours that come with them
        inner = features[..., first : first + num_frames]
        with torch.no_grad():
            track, voiced = self._track(hidden, inner)
            if measured is not None and self.pitch_row is None:
                voiced = measured.voiced
                track = torch.where(voiced, measured.hz.to(track), track)
            cycles, hz, _ = self._oscillate(track, None)
            if measured is not None:
                rate = self.config.sample_rate
                cycles = aligned_cycles(cycles, voiced, measured.energy, rate)
        return self._excite(hidden, cycles, hz, voiced, None)[0]

    def stream(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Compute the hidden frames of conditioning that comes piece by piece.

        As `FrameContext.stream`, hop_length / r times as many.
        """
        state: ExcitationState | None = None
        for hidden, features in self.frames.stream_beside(pieces):
            excited, state = self.excite(hidden, features, state)
            yield excited

    def excite(
        self, hidden: Tensor, features: Tensor, state: ExcitationState | None
    ) -> tuple[Tensor, ExcitationState]:
        """Add the excitation to what `frames` makes of a piece of conditioning.

        Args:
            hidden: shape (B, H', n).
            features: the conditioning, shape (B, M, n).
            state: what the piece before left.
        Returns:
            hidden frames as `forward`'s, and the state for the next piece.
        """
        with torch.no_grad():
            track, voiced = self._track(hidden, features)
            cycles, hz, phase = self._oscillate(track, state and state.phase)
        excited, voice = self._excite(hidden, cycles, hz, voiced, state and state.voice)
        return excited, ExcitationState(phase, voice)

    def pitch(self, features: Tensor, num_frames: int) -> Pitch:
        """Predict pitch and voicing of L conditioning frames; differentiable."""
        return self._pitch(self.frames(features, num_frames))

    def filters(self, features: Tensor, num_frames: int) -> SourceFilters:
        """Compute the filters of a voice and of the noise beside it, of L conditioning frames."""
        assert self.voice is not None
        return self.voice.filters(self.frames(features, num_frames))

    def _pitch(self, hidden: Tensor) -> Pitch:
        assert self.predictor is not None
        last = self.channels + self.config.pitch_channels
        predicted: Pitch = self.predictor(hidden[:, self.channels : last])
        return predicted

    def _track(self, hidden: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Predict or read the pitch in Hz, and whether it is voiced, (B, L) each."""
        if self.pitch_row is None:
            pitch = self._pitch(hidden)
            return pitch.hz, pitch.voicing > 0
        octaves, voicing = features[:, self.pitch_row : self.pitch_row + 2].unbind(1)
        # As high as a predicted one may be.
        return octaves.double().exp2().clamp(max=self.config.sample_rate / 4), voicing > 0.5

    def _excite(
        self,
        hidden: Tensor,
        cycles: Tensor,
        hz: Tensor,
        voiced: Tensor,
        state: VoiceState | None,
    ) -> tuple[Tensor, VoiceState | None]:
        with torch.no_grad():
            angle = 2 * torch.pi * cycles
            gate = voiced[..., None]
            signals = torch.stack([angle.cos() * gate, angle.sin() * gate], 1).flatten(2)
        wide = hidden
        hidden = hidden[:, : self.channels]
        folded, _ = self.fold(signals.to(hidden.dtype))
        steps = hidden.repeat_interleave(folded.shape[-1] // hidden.shape[-1], -1)
        excited = F.leaky_relu(self.join(torch.cat([steps, folded], 1)), 0.2)
        if self.voice is None:
            return excited, None
        pulses = pulse_train(cycles, hz, self.config.sample_rate).flatten(1)[:, None]
        with full_precision(hidden):
            dtype = self.join.weight.dtype
            voice, breath, state = self.voice(
                pulses.to(dtype), wide.to(dtype), voiced.to(dtype), state
            )
        folded_voice, _ = self.fold_voice(voice)
        # A step's filter is that of its middle.
        each = self.voice.span // self.fold.factor
        middle = (torch.arange(each, dtype=dtype, device=breath.device) + 0.5) / each
        breath = torch.lerp(breath[:, :-1, None], breath[:, 1:, None], middle[:, None])
        parts = [breath.flatten(1, 2).transpose(1, 2), excited.to(dtype), folded_voice]
        return torch.cat(parts, 1), state

    def _oscillate(self, hz: Tensor, phase: Phase | None) -> tuple[Tensor, Tensor, Phase]:
        """Run the phase through L frames: cycles and pitch of each sample, (B, L, hop_length)."""
        hz = hz.double()
        if phase is None:
            phase = Phase(torch.zeros_like(hz[:, :1]), torch.zeros_like(hz[:, :1]))
        hop, rate = self.hop_length, self.config.sample_rate
        before = torch.where(phase.hz > 0, phase.hz, hz[:, :1])
        before = torch.cat([before, hz[:, :-1]], 1)
        # In whole cycles nothing is lost: the phase of an hour is as exact as that of a second.
        ends = (phase.cycles + ((before + hz) / 2 * (hop / rate)).cumsum(1)).remainder(1.0)
        starts = torch.cat([phase.cycles, ends[:, :-1]], 1)
        time = torch.arange(1, hop + 1, dtype=hz.dtype, device=hz.device)
        slope = (hz - before)[..., None] / hop
        cycles = starts[..., None] + (before[..., None] + slope / 2 * time) * (time / rate)
        return cycles, before[..., None] + slope * time, Phase(hz[:, -1:], ends[:, -1:])
