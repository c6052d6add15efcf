"""A student as one pure function for tracing: noise and log-mel in, waveform out.

Besides, the function may take a shift of the pitch and, for a student with a voice, the breath.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flows import Past, fold_weight_norm
from student.context import StudentContext
from student.model import Student
from student.parts import read_context
from student.steps import Draw, FilterStep, RotationStep, draw
from student.voice.excitation import ExcitationState, ExcitedContext
from student.voice.phase import Phase
from student.voice.source import VoiceState
from student.voice.spectral_filter import SpectralFilter, SpectralVoice


class WholeStudent(nn.Module):
    """Compute the waveforms of whole utterances, as `Student.forward` does.

    Args:
        student: changed in place and not usable afterwards: its weight norm is folded.
    """

    def __init__(self, student: Student) -> None:
        super().__init__()
        student.eval()  # breath and sharpness are those of the configuration
        fold_weight_norm(student)
        self.context = student.context
        if isinstance(self.context, ExcitedContext) and self.context.voice is not None:
            self.context.voice = SpectralVoice(self.context.voice)
        parts = student.parts
        self.steps: list[Draw] = []
        replaced: list[nn.Module] = []
        for step in student.steps:
            if isinstance(step, RotationStep):
                # A product of matrices of two and three dimensions would trace only for batches
                # other than 1.
                rotation = _as_convolution(step.rotation.matrix())
                self.steps.append(_without_context(rotation))
                replaced.append(rotation)
            elif isinstance(step, FilterStep):
                filter = SpectralFilter(step.filter, student.config.samples_per_hidden_frame)
                self.steps.append(_under_context(filter, step))
                replaced.append(filter)
            else:
                self.steps.append(step)
        self.modules_of_steps = nn.ModuleList([*parts.networks, *replaced])
        self.eval().requires_grad_(False)

    def forward(
        self,
        noise: Tensor,
        log_mel: Tensor,
        pitch_shift: Tensor | None = None,
        breath: Tensor | None = None,
    ) -> Tensor:
        """Map noise and log-mel to a waveform.

        Args:
            noise: shape (B, 1, L * hop_length).
            log_mel: shape (B, num_features, L).
            pitch_shift: semitones added to the pitch of an excitation, shape (B, 1); see
                `Student.set_pitch_shift`.
            breath: gain of the flow's output in frames with a voice, above 0, shape (B, 1); it
                replaces the student's own gain, see `Student.set_breath`.
        Returns:
            waveform, shape (B, 1, L * hop_length).
        """
        context = read_context(self.context, log_mel, log_mel.shape[-1], pitch_shift=pitch_shift)
        return draw(self.steps, noise, context._replace(breath=breath))


class StreamingStudent(nn.Module):
    """Compute a waveform chunk by chunk; the state between chunks is one tensor.

    Args:
        student: changed in place and not usable afterwards; see `WholeStudent`.
    """

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.whole = WholeStudent(student)
        self.margin = student.config.context_margin
        past, weight = Past(), next(student.parameters())
        hop = student.config.hop_length
        with past:
            log_mel = weight.new_zeros(1, student.config.num_features, 1 + 2 * self.margin)
            frames, kept = self.frames(log_mel, 1, None)
            draw(self.whole.steps, weight.new_zeros(1, 1, hop), frames, past)
        self.shapes = [tuple(part.shape[1:]) for part in (*kept, *past.kept)]
        self.num_kept = len(kept)

    @property
    def state_size(self) -> int:
        """Number of values in the state of a stream."""
        return sum(math.prod(shape) for shape in self.shapes)

    def frames(
        self,
        log_mel: Tensor,
        num_frames: int,
        kept: Sequence[Tensor] | None,
        pitch_shift: Tensor | None = None,
    ) -> tuple[StudentContext, list[Tensor]]:
        """Compute a chunk's context, and the state of the excitation for the next chunk.

        Args:
            log_mel: the chunk's frames with `margin` neighbours on each side, shape
                (1, num_features, num_frames + 2 * margin).
            num_frames: frames in the chunk.
            kept: the excitation's state after the previous chunk; None for the first chunk.
            pitch_shift: see `WholeStudent.forward`.
        """
        context = self.whole.context
        if not isinstance(context, ExcitedContext):
            return read_context(context, log_mel, num_frames), []
        features = log_mel[..., self.margin : self.margin + num_frames]
        state = None if kept is None else _unpacked(kept)
        hidden = context.frames(log_mel, num_frames)
        frames, state = context.excite(hidden, features, state, pitch_shift)
        return frames, _packed(state, log_mel)

    def forward(
        self,
        noise: Tensor,
        log_mel: Tensor,
        state: Tensor,
        pitch_shift: Tensor | None = None,
        breath: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Continue waveforms.

        Args:
            noise: shape (B, 1, n * hop_length).
            log_mel: the n frames and `context_margin` neighbours on each side, shape
                (B, num_features, n + 2 * context_margin); at the ends of an utterance the caller
                repeats the outermost frame.
            state: the state after the previous chunk, shape (B, state_size); zeros at the start of
                an utterance.
            pitch_shift: see `WholeStudent.forward`. It may change from chunk to chunk; the pitch
                then glides within the first frame.
            breath: see `WholeStudent.forward`; it may change from chunk to chunk.
        Returns:
            waveform, shape (B, 1, n * hop_length); the state for the next chunk.
        """
        parts = state.split([math.prod(shape) for shape in self.shapes], 1)
        parts = [part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=True)]
        num_frames = log_mel.shape[-1] - 2 * self.margin
        frames, kept = self.frames(log_mel, num_frames, parts[: self.num_kept], pitch_shift)
        past = Past(parts[self.num_kept :])
        with past:
            waveform = draw(self.whole.steps, noise, frames._replace(breath=breath), past)
        return waveform, torch.cat([part.flatten(1) for part in (*kept, *past.kept)], 1)


def _packed(state: ExcitationState, like: Tensor) -> list[Tensor]:
    """Return the tensors of an excitation's state, in the dtype of `like`."""
    rough = state.phase.cycles.to(like)
    # The rounding error of a 32-bit phase would add up over chunks. So the state carries the error,
    # too.
    fine = (state.phase.cycles - rough).to(like)
    return [state.phase.hz.to(like), rough, fine, *(state.voice or ())]


def _unpacked(kept: Sequence[Tensor]) -> ExcitationState:
    hz, rough, fine, *voice = kept
    phase = Phase(hz.double(), rough.double() + fine.double())
    return ExcitationState(phase, VoiceState(*voice) if voice else None)


def _without_context(layer: nn.Module) -> Draw:
    """Return a layer as a step."""
    return lambda x, context, past: layer(x)


def _under_context(filter: SpectralFilter, step: FilterStep) -> Draw:
    """Return a step that filters its input under the part of the context that `step` reads."""
    return lambda x, context, past: filter(x, step.read(context), past)


def _as_convolution(matrix: Tensor) -> nn.Conv1d:
    """Turn a matrix of channels into a 1x1 convolution."""
    rows, columns = matrix.shape
    layer = nn.Conv1d(columns, rows, 1, bias=False).to(matrix)
    layer.weight = nn.Parameter(matrix.detach()[..., None].clone())
    return layer
