"""A student as one pure function, to be traced: noise and log-mel in, waveform out."""

import torch
from torch import Tensor, nn

from flows import Inverse, Past, fold_weight_norm
from student.excitation import ExcitedContext
from student.model import Student
from student.rendering import context_parts
from student.spectral_filter import SpectralFilter, SpectralVoice


class WholeStudent(nn.Module):
    """`Student.forward`'s waveform, of whole utterances.

    Args:
        student: used up: its weight norm is folded in place.
    """

    def __init__(self, student: Student) -> None:
        super().__init__()
        fold_weight_norm(student)
        self.context = student.context
        if isinstance(self.context, ExcitedContext) and self.context.voice is not None:
            self.context.voice = SpectralVoice(self.context.voice)
        self.networks = nn.ModuleList(student._networks)
        # Tracing takes a product of two and three dimensions for one of a batch that is not 1.
        self.rotations = nn.ModuleList(_as_convolution(q.matrix()) for q in student._rotations)
        self.fold = student.fold
        self.transformer = student.transformer
        span = student.config.samples_per_hidden_frame
        self.filters = nn.ModuleList(SpectralFilter(f, span) for f in student._filters)
        self.given = student._given
        self.voices = nn.ModuleList(Inverse(voice) for voice in student._voices)
        self.eval().requires_grad_(False)

    def forward(self, noise: Tensor, log_mel: Tensor) -> Tensor:
        """Map noise (B, 1, L * hop_length) and log_mel (B, num_mels, L) to a waveform."""
        return self.render(noise, self.context(log_mel, log_mel.shape[-1]), None)

    def render(self, x: Tensor, frames: Tensor, past: Past | None) -> Tensor:
        """Map noise and hidden frames (B, H, L) to a waveform."""
        read, filtering = context_parts(frames, self.given)
        x, _ = self.fold(x)
        for k, network in enumerate(self.networks):
            shift, log_scale = self.transformer.split(network(x, read, past))
            x = x * log_scale.exp() + shift
            for rotation in self.rotations[k : k + 1]:
                x = rotation(x)
        x, _ = self.fold.inverse(x)
        for filter in self.filters:
            x = filter(x, filtering, past)
        for voice in self.voices:
            x, _ = voice(x, frames)
        return x


class StreamingStudent(nn.Module):
    """The same, chunk by chunk: what a chunk leaves to the next is one tensor.

    Args:
        student: used up, as `WholeStudent`'s.
    """

    def __init__(self, student: Student) -> None:
        super().__init__()
        if student.config.excitation.kind != "none":
            raise ValueError(
                f"student.excitation.kind is {student.config.excitation.kind!r}, expected 'none' "
                "to export a stream"
            )
        self.whole = WholeStudent(student)
        self.margin = student.config.context_margin
        past, weight = Past(), next(student.parameters())
        with past:
            noise = weight.new_zeros(1, 1, student.config.hop_length)
            self.whole.render(noise, weight.new_zeros(1, student.config.context_channels, 1), past)
        self.shapes = [(part.shape[1], part.shape[2]) for part in past.kept]

    @property
    def state_size(self) -> int:
        """Numbers that a stream remembers."""
        return sum(channels * length for channels, length in self.shapes)

    def forward(self, noise: Tensor, log_mel: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Continue waveforms.

        Args:
            noise: shape (B, 1, n * hop_length).
            log_mel: the n frames and `context_margin` neighbours on each side, shape
                (B, num_mels, n + 2 * context_margin); at the ends of an utterance the outermost
                frame is repeated.
            state: shape (B, state_size); zeros at the start of an utterance.
        Returns:
            waveform, shape (B, 1, n * hop_length); the state after it.
        """
        frames = self.whole.context(log_mel, log_mel.shape[-1] - 2 * self.margin)
        parts = state.split([channels * length for channels, length in self.shapes], 1)
        past = Past(
            [part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=True)]
        )
        with past:
            waveform = self.whole.render(noise, frames, past)
        return waveform, torch.cat([kept.flatten(1) for kept in past.kept], 1)


def _as_convolution(matrix: Tensor) -> nn.Conv1d:
    """Turn a matrix of channels into a 1x1 convolution."""
    rows, columns = matrix.shape
    layer = nn.Conv1d(columns, rows, 1, bias=False).to(matrix)
    layer.weight = nn.Parameter(matrix.detach()[..., None].clone())
    return layer
