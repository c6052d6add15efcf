"""A harmonic excitation as context: sine and cosine of the pitch, and optionally a voice.

A network can hardly invent the phase of a voiced sound, so the context contains the phase.
"""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsp.pitch import LARGEST_SHIFT
from dsp.pulses import pulse_train
from flows import Fold, FrameContext
from flows.precision import full_precision
from student.context import StudentContext, context_of
from student.voice.alignment import aligned_cycles
from student.voice.excitation_config import ExcitationConfig
from student.voice.filters import SourceFilters
from student.voice.phase import Phase, run_phase
from student.voice.pitch_predictor import MeasuredVoice, Pitch, PitchPredictor
from student.voice.source import Envelope, Voice, VoiceState


class ExcitationState(NamedTuple):
    """Streaming state of an excitation between two pieces."""

    phase: Phase
    voice: VoiceState | None


class ExcitedContext(nn.Module):
    r"""Compute hidden frames that carry a sine and a cosine of the pitch.

    .. math:: u_t = v \cos 2\pi\phi_t, \quad w_t = v \sin 2\pi\phi_t, \qquad
              \phi_t = \phi_{t-1} + \frac{f_{t-1} + f_t}{2 f_s}

    The pitch f and the voicing v (0 or 1) are given at the end of each conditioning frame. The
    conditioning contains both, or a predictor computes both from the conditioning. Between the ends
    of frames, the pitch is interpolated linearly. The signals u and w are folded into steps of r
    samples, and a layer joins each step to a hidden frame. u and w are functions of the
    conditioning, so the density stays exact. The waveform's gradient does not reach a predicted
    pitch; the term `pitch` of `Distillation` trains the predictor.

    A student with a voice adds the voice to the waveform by a `ContextShift`, and its networks read
    the folded voice. If `breath_order` is above 0, the voice's network also computes the parameters
    of a `ContextFilter`, through which the flow's output passes.

    Args:
        frames: the context network. Its output has H hidden channels, then `pitch_channels`
            channels more if the pitch is predicted, then the features if there is a voice. The
            voice reads all these channels. With a voice, the pitch predictor reads the features,
            so that it can be trained alone. Without a voice, it reads the `pitch_channels`.
        channels: number of hidden channels, H.
        hop_length: samples per conditioning frame.
        frame_length: samples per step, r; divides hop_length.
        config: kind of excitation and range of the pitch.
        pitch_row: index of the conditioning row with log2 of the pitch in Hz; the next row is the
            voicing. None to predict pitch and voicing.
        breath_order: number of taps of the filter of the flow's output, without the first tap; 0
            for no filter.
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
        self.pitch_shift = 0.0
        self.predictor: PitchPredictor | None = None
        if pitch_row is None:
            read = frames.num_added or config.pitch_channels
            self.predictor = PitchPredictor(read, config.fmin_hz, config.fmax_hz)
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
        """Number of conditioning frames seen before, and after, each frame."""
        return self.frames.margin

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Store the corpus's mean and standard deviation per band, shape (M,) each."""
        self.frames.set_statistics(mean, std)

    def set_envelope(self, envelope: Envelope) -> None:
        """Initialise the filters of an untrained voice, if any; see `Voice.set_envelope`."""
        if self.voice is not None:
            middle = math.sqrt(self.config.fmin_hz * self.config.fmax_hz)
            mean, std = self.frames.mean[:, 0], self.frames.std[:, 0]
            self.voice.set_envelope(envelope, mean, std, middle, self.config.sample_rate)

    def set_initial_std(self, std: float) -> None:
        """Set the standard deviation of an untrained voice, if there is a voice."""
        if self.voice is not None:
            self.voice.set_initial_std(std)

    def set_pitch_shift(self, semitones: float) -> None:
        """Shift the pitch of the excitation in everything that is drawn from now on.

        The excitation follows the new pitch exactly. The log-mel does not change, and its lowest
        bands still show the harmonics of the old pitch (docs/results/pitch).

        Args:
            semitones: the shift, upwards if positive; at most `LARGEST_SHIFT` either way.
        Raises:
            ValueError: if `semitones` is out of range.
        """
        if not abs(semitones) <= LARGEST_SHIFT:
            raise ValueError(
                f"semitones is {semitones}, expected -{LARGEST_SHIFT} to {LARGEST_SHIFT}"
            )
        self.pitch_shift = semitones

    def forward(
        self,
        features: Tensor,
        num_frames: int,
        measured: MeasuredVoice | None = None,
        hidden: Tensor | None = None,
        pitch_shift: Tensor | None = None,
    ) -> StudentContext:
        """Compute hidden frames of a whole utterance or of a clip. The phase starts at 0.

        Args:
            features: see `FrameContext.forward`, which also describes the errors.
            num_frames: number of conditioning frames in the result, L.
            measured: voice of the recording, in training; otherwise None. Measured voicing replaces
                predicted voicing. Measured pitch replaces predicted pitch in frames that were
                measured as voiced. Given pitch and voicing stay. The pulses are shifted to the
                times of the recording's pulses.
            hidden: what the method `hidden` returned for `features`; None to compute it here.
            pitch_shift: see `excite`; a measured pitch is not shifted.
        Returns:
            context of each part of the student, with L * hop_length / r hidden frames.
        """
        hidden = self.hidden(features, num_frames) if hidden is None else hidden
        first = (features.shape[-1] - num_frames) // 2  # number of neighbours in front
        inner = features[..., first : first + num_frames]
        with torch.no_grad():
            track, voiced = self._track(hidden, inner, pitch_shift)
            if measured is not None and self.pitch_row is None:
                voiced = measured.voiced
                track = torch.where(voiced, measured.hz.to(track), track)
            rate = self.config.sample_rate
            cycles, hz, _ = run_phase(track, None, self.hop_length, rate)
            if measured is not None:
                cycles = aligned_cycles(cycles, voiced, measured.energy, rate)
        return self._excite(hidden, cycles, hz, voiced, None)[0]

    def stream(self, pieces: Iterable[Tensor]) -> Iterator[StudentContext]:
        """Compute hidden frames piece by piece; see `FrameContext.stream` and `forward`."""
        state: ExcitationState | None = None
        for hidden, features in self.frames.stream_beside(pieces):
            excited, state = self.excite(hidden, features, state)
            yield excited

    def excite(
        self,
        hidden: Tensor,
        features: Tensor,
        state: ExcitationState | None,
        pitch_shift: Tensor | None = None,
    ) -> tuple[StudentContext, ExcitationState]:
        """Add the excitation to the hidden frames of one piece of conditioning.

        Args:
            hidden: output of `frames`, with all H' channels, shape (B, H', n).
            features: the conditioning, shape (B, M, n).
            state: state after the previous piece; None for the first piece.
            pitch_shift: semitones added to the pitch, shape (B, 1); default: the shift of
                `set_pitch_shift`, at first 0.
        Returns:
            hidden frames of each part of the student; the state for the next piece.
        """
        with torch.no_grad():
            track, voiced = self._track(hidden, features, pitch_shift)
            phase, rate = state and state.phase, self.config.sample_rate
            cycles, hz, phase = run_phase(track, phase, self.hop_length, rate)
        excited, voice = self._excite(hidden, cycles, hz, voiced, state and state.voice)
        return excited, ExcitationState(phase, voice)

    def hidden(self, features: Tensor, num_frames: int) -> Tensor:
        """Run the context network over L conditioning frames; return all its channels."""
        with full_precision(features):  # pitch and filters are computed from the hidden frames
            found: Tensor = self.frames(features, num_frames)
        return found

    def filters(self, hidden: Tensor) -> SourceFilters:
        """Compute the filters of voice and noise from the result of `hidden`."""
        assert self.voice is not None
        return self.voice.filters(hidden)

    def pitch(self, hidden: Tensor) -> Pitch:
        """Predict pitch and voicing from the result of `hidden`; differentiable."""
        assert self.predictor is not None
        last = self.channels + self.config.pitch_channels
        features = hidden[:, last:]  # with a voice
        read = features if features.shape[1] else hidden[:, self.channels : last]
        predicted: Pitch = self.predictor(read)
        return predicted

    def _track(
        self, hidden: Tensor, features: Tensor, pitch_shift: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Predict or read the pitch in Hz and the voicing (true or false), (B, L) each."""
        if self.pitch_row is None:
            pitch = self.pitch(hidden)
            hz, voiced = pitch.hz.double(), pitch.voicing > 0
        else:
            octaves, voicing = features[:, self.pitch_row : self.pitch_row + 2].unbind(1)
            hz, voiced = octaves.double().exp2(), voicing > 0.5
        if pitch_shift is not None:
            hz = hz * torch.exp2(pitch_shift.double() / 12)
        elif self.pitch_shift:
            hz = hz * 2.0 ** (self.pitch_shift / 12)
        # A given or shifted pitch gets the largest upper limit that `ExcitationConfig` allows.
        return hz.clamp(max=self.config.sample_rate / 4), voiced

    def _excite(
        self,
        hidden: Tensor,
        cycles: Tensor,
        hz: Tensor,
        voiced: Tensor,
        state: VoiceState | None,
    ) -> tuple[StudentContext, VoiceState | None]:
        """Join sine and cosine to the hidden frames; compute the voice and its filters, if any.

        Args:
            hidden: output of the context network, with all H' channels, shape (B, H', L).
            cycles: phase in cycles at each sample, float64, shape (B, L, hop_length).
            hz: pitch at each sample, float64, shape (B, L, hop_length).
            voiced: whether each frame's end is voiced, shape (B, L).
            state: state of the voice after the previous piece; None for the first piece.
        Returns:
            hidden frames of each part of the student; the voice's state, or None without a voice.
        """
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
            return context_of(excited), None
        pulses = pulse_train(cycles, hz, self.config.sample_rate).flatten(1)[:, None]
        with full_precision(hidden):
            dtype = self.join.weight.dtype
            voice, breath, state = self.voice(
                pulses.to(dtype), wide.to(dtype), voiced.to(dtype), state
            )
        folded_voice, _ = self.fold_voice(voice)
        # The filter of the flow's output is interpolated at the middle of each step.
        each = self.voice.span // self.fold.factor
        middle = (torch.arange(each, dtype=dtype, device=breath.device) + 0.5) / each
        breath = torch.lerp(breath[:, :-1, None], breath[:, 1:, None], middle[:, None])
        given = breath.flatten(1, 2).transpose(1, 2) if breath.shape[-1] else None
        network = torch.cat([excited.to(dtype), folded_voice], 1)
        return StudentContext(network, given, folded_voice), state
