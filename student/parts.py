"""The parts of a student, built from its configuration."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from torch import Tensor

from flows import (
    Affine,
    CausalConvolution,
    ContextFilter,
    ContextShift,
    Fold,
    FrameContext,
    Rotation,
    WaveNet,
    rows_in_words,
)
from student.config import StudentConfig
from student.context import StudentContext, context_of
from student.steps import (
    FilterStep,
    FoldStep,
    NetworkStep,
    RotationStep,
    Step,
    UnfoldStep,
    VoiceStep,
)
from student.voice.excitation import ExcitedContext
from student.voice.pitch_predictor import MeasuredVoice


class Parts(NamedTuple):
    """The parts of a student after its context network."""

    fold: Fold
    """Folds the noise before the first network, and unfolds the signal after the last."""
    networks: list[WaveNet]
    """Networks of the flows, noise side first."""
    rotations: list[Rotation]
    """Rotations of a frame student, one after each network but the last; otherwise empty."""
    filter: CausalConvolution | None
    """The causal filter after the flows."""
    voice: ContextShift | None
    """The shift that adds the voice, which the context carries."""

    @property
    def filter_is_given(self) -> bool:
        """Whether the voice's network computes the filter."""
        return isinstance(self.filter, ContextFilter)


def make_context(config: StudentConfig) -> FrameContext | ExcitedContext:
    """Make the context network, with the excitation if the configuration has one."""
    excitation = config.excitation
    frames = FrameContext(
        config.num_features,
        config.context_channels + excitation.pitch_channels * config.predicts_pitch,
        config.context_margin,
        blind=config.conditioning == "none",
        rows=rows_in_words(config.num_mels, config.pitch, config.num_speakers),
        with_features=excitation.kind == "voice",
    )
    if excitation.kind == "none":
        return frames
    return ExcitedContext(
        frames,
        config.context_channels,
        config.hop_length,
        config.frame_length,
        excitation,
        config.pitch_row,
        config.filter_order,
    )


def read_context(
    context: FrameContext | ExcitedContext,
    features: Tensor,
    num_frames: int,
    measured: MeasuredVoice | None = None,
    hidden: Tensor | None = None,
    pitch_shift: Tensor | None = None,
) -> StudentContext:
    """Compute the `StudentContext`; see `ExcitedContext.forward`.

    A `FrameContext` ignores the last three arguments.
    """
    if isinstance(context, ExcitedContext):
        found: StudentContext = context(features, num_frames, measured, hidden, pitch_shift)
        return found
    return context_of(context(features, num_frames))


def stream_context(
    context: FrameContext | ExcitedContext, pieces: Iterable[Tensor]
) -> Iterator[StudentContext]:
    """Compute a `StudentContext` per piece, for either context; see `FrameContext.stream`."""
    if isinstance(context, ExcitedContext):
        return context.stream(pieces)
    return map(context_of, context.stream(pieces))


def make_parts(config: StudentConfig, transformer: Affine) -> Parts:
    """Make the parts of a student after its context network.

    Args:
        config: the student's configuration.
        transformer: the transformer of the steps; it determines the number of outputs of each
            network.
    """
    r, order, excitation = config.frame_length, config.filter_order, config.excitation
    voice = ContextShift(r) if excitation.kind == "voice" else None
    channels = config.context_channels + (0 if voice is None else r)  # networks read the voice, too
    networks = [WaveNet(size, transformer.num_params, r, channels) for size in config.wavenets]
    rotations = [Rotation(r).requires_grad_(False) for _ in networks[1:] if r > 1]
    filter: CausalConvolution | None = None
    if order:
        is_given = voice is not None
        filter = ContextFilter(order) if is_given else CausalConvolution(order, 1, channels)
    return Parts(Fold(r), networks, rotations, filter, voice)


def make_steps(parts: Parts, transformer: Affine) -> list[Step]:
    """Put the parts in the order of sampling, from noise to waveform."""
    steps: list[Step] = [FoldStep(parts.fold)]
    for k, network in enumerate(parts.networks):
        steps.append(NetworkStep(network, transformer))
        steps += [RotationStep(rotation) for rotation in parts.rotations[k : k + 1]]
    steps.append(UnfoldStep(parts.fold, parts.rotations))
    if parts.filter is not None:
        steps.append(FilterStep(parts.filter))
    if parts.voice is not None:
        steps.append(VoiceStep(parts.voice))
    return steps
