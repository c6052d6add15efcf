"""The steps from noise to waveform, from which every way of sampling is built.

`student.parts.make_steps` puts the steps of a student in order. Each step has three forms: a flow
(`transform`), a map from its input to its output (`__call__`), and a map that also updates the
distribution of the samples (`track`). A faster engine, or an export, replaces single steps and
keeps their order.
"""

import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from flows import (
    Affine,
    CausalConvolution,
    Compose,
    ContextShift,
    Fold,
    Inverse,
    Past,
    Rotation,
    Transform,
    WaveNet,
    iaf,
)
from flows.engines.triton import FusedStack
from student.context import StudentContext
from student.frame import sample_by_sample

Draw = Callable[[Tensor, StudentContext, Past | None], Tensor]
"""A step's map from its input to its output. The arguments are the signal, the context, and the
streaming state of a signal that comes in pieces (otherwise None)."""


@dataclass
class Tracked:
    """A signal on its way from noise to waveform, with the distribution of its samples.

    The signal has the shape (B, r, N) from `FoldStep` to `UnfoldStep`, and (B, 1, T) before and
    after.
    """

    x: Tensor
    """The signal."""
    noise: Tensor
    """The noise that the signal was made from, in frames."""
    loc: Tensor
    """Before `UnfoldStep`: the value that each frame of the signal would have if the frame's own
    noise were zero. After `UnfoldStep`: the location of each sample given all earlier samples."""
    log_scales: list[Tensor] = field(default_factory=list)
    """Log-scale of each network, then the log-gain of the filter, nats."""
    log_scale: Tensor | None = None
    """Log-scale of each sample given all earlier samples, nats; None before `UnfoldStep`."""
    voice: Tensor | None = None
    """The voice that was added, shape (B, 1, T)."""

    def scale_and_shift(self, shift: Tensor, log_scale: Tensor) -> None:
        """Scale and shift signal and location; add `log_scale` (nats) to a known log-scale."""
        scale = log_scale.exp()
        self.x, self.loc = self.x * scale + shift, self.loc * scale + shift
        if self.log_scale is not None:
            self.log_scale = self.log_scale + log_scale


class Step:
    """One step from noise to waveform."""

    transform: Transform | None = None
    """The step as a flow from data to noise; None if the step changes nothing."""

    def read(self, context: StudentContext) -> Tensor | None:
        """Return the part of the context that the step reads."""
        return None

    def __call__(self, x: Tensor, context: StudentContext, past: Past | None = None) -> Tensor:
        """Draw the step's output; see `Draw`."""
        raise NotImplementedError

    def track(self, signal: Tracked, context: StudentContext) -> None:
        """Replace the signal by the step's output, and update its distribution."""
        raise NotImplementedError


class FoldStep(Step):
    """Fold the noise into frames of r samples."""

    def __init__(self, fold: Fold) -> None:
        self._fold = fold
        self.transform = Inverse(fold) if fold.factor > 1 else None

    def __call__(self, x: Tensor, context: StudentContext, past: Past | None = None) -> Tensor:
        """Fold a signal (B, 1, T) into (B, r, T / r)."""
        return self._fold(x)[0]

    def track(self, signal: Tracked, context: StudentContext) -> None:
        """Fold the noise. The location is zero at first."""
        signal.noise = signal.x = self._fold(signal.x)[0]
        signal.loc = torch.zeros_like(signal.x)


class AffineStep(Step):
    """Multiply by a scale and add a shift, which come from the context and the past of a signal."""

    def shift_and_log_scale(
        self, x: Tensor, context: StudentContext, past: Past | None
    ) -> tuple[Tensor, Tensor]:
        """Compute shift and log-scale (nats), each of the shape of x."""
        raise NotImplementedError

    def __call__(self, x: Tensor, context: StudentContext, past: Past | None = None) -> Tensor:
        """Scale and shift a signal."""
        shift, log_scale = self.shift_and_log_scale(x, context, past)
        return x * log_scale.exp() + shift

    def track(self, signal: Tracked, context: StudentContext) -> None:
        """Scale and shift a signal and its location, and record the log-scale."""
        shift, log_scale = self.shift_and_log_scale(signal.x, context, None)
        signal.scale_and_shift(shift, log_scale)
        signal.log_scales.append(log_scale)


class NetworkStep(AffineStep):
    """One inverse autoregressive flow.

    Args:
        network: the causal network.
        transformer: splits the network's output into shift and log-scale.
        stack: a faster implementation of the network's layers; None for PyTorch's.
        autocast: context manager that sets the precision of the network; None for the present one.
    """

    def __init__(
        self,
        network: WaveNet,
        transformer: Affine,
        stack: FusedStack | None = None,
        autocast: AbstractContextManager[object] | None = None,
    ) -> None:
        self.network, self.transformer = network, transformer
        self._stack, self._autocast = stack, autocast or nullcontext()
        self.transform = iaf(network, transformer)

    def read(self, context: StudentContext) -> Tensor:
        """Return the networks' context."""
        return context.network

    def shift_and_log_scale(
        self, x: Tensor, context: StudentContext, past: Past | None
    ) -> tuple[Tensor, Tensor]:
        """Run the network over the signal."""
        with self._autocast:
            params = self.network(x, self.read(context), past, self._stack)
        return self.transformer.split(params)


class RotationStep(Step):
    """Rotate each frame of a frame student, between two networks."""

    def __init__(self, rotation: Rotation) -> None:
        self.rotation = rotation
        self.transform = Inverse(rotation)

    def __call__(self, x: Tensor, context: StudentContext, past: Past | None = None) -> Tensor:
        """Rotate frames (B, r, N)."""
        return self.rotation(x)[0]

    def track(self, signal: Tracked, context: StudentContext) -> None:
        """Rotate the signal's frames and their location."""
        signal.x, signal.loc = self.rotation(signal.x)[0], self.rotation(signal.loc)[0]


class UnfoldStep(Step):
    """Unfold frames of r samples into a signal.

    Args:
        fold: the fold of `FoldStep`.
        rotations: the rotations between the networks.
    """

    def __init__(self, fold: Fold, rotations: list[Rotation]) -> None:
        self._fold, self._rotations = fold, rotations
        self.transform = fold if fold.factor > 1 else None

    def __call__(self, x: Tensor, context: StudentContext, past: Past | None = None) -> Tensor:
        """Unfold frames (B, r, N) into a signal (B, 1, r N)."""
        return self._fold.inverse(x)[0]

    def track(self, signal: Tracked, context: StudentContext) -> None:
        """Unfold the signal, and set location and log-scale of each sample given earlier samples.

        `Tracked` describes the fields before and after this step.
        """
        loc, log_scales = signal.loc, signal.log_scales
        if self._fold.factor > 1:
            matrices = [rotation.matrix() for rotation in self._rotations]
            loc, log_scale = sample_by_sample(signal.noise, loc, log_scales, matrices)
        else:
            log_scale = torch.stack(log_scales).sum(0)
        signal.x, signal.loc, signal.log_scale, *signal.log_scales = (
            self._fold.inverse(part)[0] for part in (signal.x, loc, log_scale, *log_scales)
        )


class FilterStep(AffineStep):
    """The causal filter after the flows."""

    def __init__(self, filter: CausalConvolution) -> None:
        self.filter = filter
        self.transform = Inverse(filter)

    def read(self, context: StudentContext) -> Tensor | None:
        """Return the filter's context."""
        return context.filter

    def shift_and_log_scale(
        self, x: Tensor, context: StudentContext, past: Past | None
    ) -> tuple[Tensor, Tensor]:
        """Express the filter as a step; see `CausalConvolution.shift_and_log_scale`."""
        return self.filter.shift_and_log_scale(x, self.read(context), past)


class VoiceStep(AffineStep):
    """The shift that adds the voice."""

    def __init__(self, shift: ContextShift) -> None:
        self.shift = shift
        self.transform = shift

    def read(self, context: StudentContext) -> Tensor | None:
        """Return the folded voice."""
        return context.voice

    def shift_and_log_scale(
        self, x: Tensor, context: StudentContext, past: Past | None
    ) -> tuple[Tensor, Tensor]:
        """Return the voice as the shift, and the log-gain of the flow's output as the log-scale."""
        return self.shift.signal_and_log_gain(x, self.read(context), context.breath)

    def track(self, signal: Tracked, context: StudentContext) -> None:
        """Multiply the flow's output by the gain, add the voice, and record the voice."""
        signal.voice, log_gain = self.shift_and_log_scale(signal.x, context, None)
        signal.scale_and_shift(signal.voice, log_gain)


def draw(
    steps: Iterable[Draw], z: Tensor, context: StudentContext, past: Past | None = None
) -> Tensor:
    """Pass noise (B, 1, T) through all steps, and return the waveform (B, 1, T).

    `past` is the streaming state of a signal that comes in pieces.
    """
    for step in steps:
        z = step(z, context, past)
    return z


def draw_with_distribution(steps: Iterable[Step], z: Tensor, context: StudentContext) -> Tracked:
    """Pass noise (B, 1, T) through all steps, and compute the distribution of each sample."""
    signal = Tracked(z, z, torch.zeros_like(z))
    for step in steps:
        step.track(signal, context)
    return signal


class StudentTransform(Compose):
    """The steps of a student as one flow, from waveform to noise, under a `StudentContext`.

    Args:
        steps: the steps in the order of sampling.
    """

    def __init__(self, steps: Iterable[Step]) -> None:
        pairs = [(step, step.transform) for step in steps if step.transform is not None]
        super().__init__(transform for _, transform in reversed(pairs))
        self._steps = [step for step, _ in reversed(pairs)]

    def contexts(self, context: Any) -> list[Tensor | None]:
        """Return the part of a `StudentContext` that each step reads.

        Raises:
            ValueError: if the context is another object.
        """
        if not isinstance(context, StudentContext):
            raise ValueError(
                f"context is of type {type(context).__name__}, expected the StudentContext that "
                "Student.frames_of returns"
            )
        return [step.read(context) for step in self._steps]


def unwrapped(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename tensors of version 0.1, in which a second object wrapped each step's transform."""
    wrapped = re.compile(r"(flow\.transform\.transforms\.\d+\.transform)\.transform(?=\.)")
    return {wrapped.sub(r"\1", name): tensor for name, tensor in tensors.items()}
