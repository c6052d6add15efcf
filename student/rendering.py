"""Sampling from a student without gradients, piece by piece, by a chosen engine."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from flows import (
    ChainWeights,
    CompiledChain,
    Engine,
    Past,
    StandardLogistic,
    StandardNormal,
    choose_engine,
)
from flows.density import check_temperature
from flows.engines.choose import fallback, multiplies_in_pairs
from flows.engines.threads import each_on_one_thread, each_within, pytorch_threads
from flows.engines.triton import WIDEST, FusedStack
from flows.precision import autocast_as_now, each_in_full_precision, full_precision
from student.config import StudentConfig
from student.context import StudentContext
from student.steps import Draw, NetworkStep, RotationStep, Step, draw

if TYPE_CHECKING:
    from student.model import Student

FRAMES_AT_ONCE = 64
"""Largest number of conditioning frames computed together on a CPU. It bounds the memory, and keeps
the data that PyTorch works on in the cache."""

FRAMES_ON_GPU = 512
"""Largest number of conditioning frames computed together on a GPU. Every layer is a kernel launch,
so a GPU needs more frames to stay busy."""

FEW_FRAMES = 512
"""Number of conditioning frames, of all streams together, up to which PyTorch computes the contexts
on one thread. With so few frames, its threads wait for each other longer than they work
(measured)."""

VECTOR_OF_NOISE = 16
"""PyTorch draws normal numbers on a CPU in vectors of 16. If a frame has whole vectors, frames that
are drawn together equal frames that are drawn one by one."""


def frames_at_once(device: torch.device) -> int:
    """Return the largest number of conditioning frames computed together on a device."""
    return FRAMES_ON_GPU if device.type == "cuda" else FRAMES_AT_ONCE


def student_engine(config: StudentConfig, like: Tensor, engine: Engine) -> tuple[Engine, str]:
    """Choose how to sample a student.

    Args:
        config: configuration of the student.
        like: a tensor with the student's dtype and device.
        engine: the requested engine.
    Returns:
        engine and reason, as `flows.choose_engine` returns them. "fused" is not chosen for networks
        wider than `WIDEST`.
    Raises:
        EngineError: if the requested engine does not apply.
    """
    chosen, said = choose_engine(like, engine)
    if chosen == "fused" and config.residual_channels > WIDEST:
        needed = f"fused sampling is for at most {WIDEST} residual channels"
        return fallback(engine, f"{needed}, this student has {config.residual_channels}")
    return chosen, said


def render(
    student: "Student",
    chunks: Iterable[StudentContext],
    temperature: float,
    generator: torch.Generator | None,
    engine: Engine,
    few: bool,
) -> Iterator[Tensor]:
    """Draw waveforms piece by piece from chunks of hidden frames.

    Args:
        student: the model.
        chunks: consecutive hidden frames.
        temperature: factor on the noise.
        generator: source of randomness.
        engine: see `Student.sample`.
        few: whether PyTorch computes the contexts on one thread, if the engine is compiled.
    Yields:
        consecutive pieces of the waveforms, shape (B, 1, n * hop_length) each.
    """
    check_temperature(temperature)
    engine = student.choose_engine(engine)[0]
    if few and engine == "compiled":
        chunks = each_on_one_thread(chunks)
    hop, renderer = student.config.hop_length, None
    weight = next(student.parameters())
    # Inference mode records less than `no_grad`. Its tensors could not be trained on, so the caller
    # gets copies.
    chunks = each_within(each_in_full_precision(chunks, weight), torch.inference_mode)
    per_hop = hop // student.config.samples_per_hidden_frame
    for context in in_pieces(chunks, per_hop * frames_at_once(weight.device)):
        num_frames = context.shape[-1] // per_hop
        with torch.inference_mode():
            noise = draw_frames(student.flow.base, context.network, num_frames, hop, generator)
            if renderer is None:
                renderer = Renderer(student.steps, student.chain_weights, noise, engine)
            drawn = renderer(noise * temperature, context)
        yield drawn.clone()


class Renderer:
    """Turn noise into a waveform; each call continues the waveform of the call before.

    Args:
        steps: the student's steps.
        weights: weights of the networks and of the rotations between them.
        like: noise of the first piece, shape (B, 1, T). Its length decides how many threads draw
            all pieces.
        engine: see `flows.choose_engine`.
    """

    def __init__(
        self, steps: Sequence[Step], weights: ChainWeights, like: Tensor, engine: Engine
    ) -> None:
        self._past = Past()
        chosen = choose_engine(like, engine)[0]
        self._is_compiled = chosen == "compiled"
        self._steps: list[Draw] = []
        if self._is_compiled:
            length = like.shape[-1] // weights.networks[0].num_channels
            chain = CompiledChain(weights, like.shape[0], multiplies_in_pairs(), length)
            for in_chain, group in itertools.groupby(steps, _is_in_chain):
                self._steps += [_chained(chain)] if in_chain else group
            return
        dtype = _dtype_of_layers(like) if chosen == "fused" else None
        for step in steps:
            if isinstance(step, NetworkStep):
                stack = None if dtype is None else FusedStack(step.network.layers, dtype)
                step = NetworkStep(step.network, step.transformer, stack, autocast_as_now(like))
            self._steps.append(_by_matrix(step) if isinstance(step, RotationStep) else step)

    @torch.no_grad()
    def __call__(self, z: Tensor, context: StudentContext) -> Tensor:
        """Map noise (B, 1, n * hop_length) and its context to the next samples."""
        threads = pytorch_threads(1) if self._is_compiled else nullcontext()
        with threads, full_precision(z), self._past as past:
            return draw(self._steps, z, context, past)


def _is_in_chain(step: Step) -> bool:
    """Tell whether a compiled chain computes the step."""
    return isinstance(step, NetworkStep | RotationStep)


def _chained(chain: CompiledChain) -> Draw:
    """Return a step that replaces all networks and rotations by a compiled chain."""
    return lambda x, context, past: chain(x, context.network)


@torch.no_grad()
def _by_matrix(step: RotationStep) -> Draw:
    """Return a step that rotates by a matrix product; the matrix is computed once."""
    matrix = step.rotation.matrix()
    return lambda x, context, past: matrix @ x


def _dtype_of_layers(like: Tensor) -> torch.dtype:
    """Return the dtype in which layers compute: autocast's dtype if it is on, else the tensor's."""
    device = like.device.type
    mixed = torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if mixed else like.dtype


def draw_frames(
    base: StandardNormal | StandardLogistic,
    like: Tensor,
    num_frames: int,
    hop_length: int,
    generator: torch.Generator | None,
) -> Tensor:
    """Draw noise frame by frame, so that the noise does not depend on the size of pieces.

    Args:
        base: distribution of the noise.
        like: a tensor with the noise's batch, dtype and device.
        num_frames: number of frames, n.
        hop_length: samples per frame.
        generator: source of randomness.
    Returns:
        noise, shape (B, 1, n * hop_length).
    """
    streams = like.shape[0]
    if like.device.type == "cpu" and streams * hop_length % VECTOR_OF_NOISE == 0:
        frames = base.sample(like.new_empty(num_frames, streams, 1, hop_length), generator)
        return frames.permute(1, 2, 0, 3).flatten(2)
    frame = like.new_empty(streams, 1, hop_length)
    return torch.cat([base.sample(frame, generator) for _ in range(num_frames)], -1)


def in_pieces(chunks: Iterable[StudentContext], longest: int) -> Iterator[StudentContext]:
    """Cut contexts into pieces of at most `longest` hidden frames; skip empty ones."""
    for chunk in chunks:
        if chunk.shape[-1]:
            yield from chunk.split(longest)
