"""The parts of a student, built from its configuration."""

from typing import NamedTuple

from torch import Tensor

from flows import (
    Affine,
    CausalConvolution,
    Compose,
    ContextFilter,
    ContextPart,
    ContextShift,
    Fold,
    FrameContext,
    Inverse,
    Rotation,
    Transform,
    WaveNet,
    iaf,
    rows_in_words,
)
from student.config import StudentConfig
from student.voice.excitation import ExcitedContext


class Parts(NamedTuple):
    """Parts of a student: noise passes networks and rotations by turns, then filters and voices."""

    fold: Fold
    """Folds the noise before the first network, and unfolds the signal after the last."""
    networks: list[WaveNet]
    """Networks of the flows, noise side first."""
    rotations: list[Rotation]
    """Rotations of a frame student, one after each network but the last; else empty."""
    filters: list[CausalConvolution]
    """The causal filter after the flows: none or one."""
    voices: list[ContextShift]
    """The shift that adds the voice, which the context carries: none or one."""
    given: int
    """Number of leading context channels that are the parameters of the filter. If 0, the filter
    reads all context channels."""

    def seen(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Split hidden frames (B, H, L) into the networks' context and the filter's context."""
        given = self.given
        return (frames[:, given:], frames[:, :given]) if given else (frames, frames)


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


def make_parts(config: StudentConfig, transformer: Affine) -> Parts:
    """Make all parts after the context; every network uses `transformer`."""
    r, order, excitation = config.frame_length, config.filter_order, config.excitation
    voices = [ContextShift(r, excitation.breath)] if excitation.kind == "voice" else []
    channels = config.context_channels + r * len(voices)
    # With a voice, the first channels of the context are the parameters of the filter.
    given = order + 1 if voices and order else 0
    networks = [WaveNet(size, transformer.num_params, r, channels) for size in config.wavenets]
    rotations = [Rotation(r).requires_grad_(False) for _ in networks[1:] if r > 1]
    filters: list[CausalConvolution] = []
    if order:
        whole = CausalConvolution(order, context_channels=channels) if not given else None
        filters = [whole or ContextFilter(order)]
    return Parts(Fold(r), networks, rotations, filters, voices, given)


def compose(parts: Parts, transformer: Affine) -> Compose:
    """Compose the parts into a transform from waveform to noise."""
    fold, networks, rotations, filters, voices, given = parts
    is_folded = fold.factor > 1
    steps: list[Transform] = [Inverse(fold)] if is_folded else []
    for k, network in enumerate(networks):
        step = iaf(network, transformer)
        steps.append(ContextPart(step, given, None) if given else step)
        steps += [Inverse(rotation) for rotation in rotations[k : k + 1]]
    steps += [fold] if is_folded else []
    after = [Inverse(filter) for filter in filters]
    steps += [ContextPart(step, 0, given) for step in after] if given else after
    # Compose runs from data to noise, so the last step of sampling comes first.
    return Compose(reversed([*steps, *voices]))
