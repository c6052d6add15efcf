"""Sampling from a student without gradients: piece by piece, by the fastest engine."""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext

import torch
from torch import Tensor

from flows import (
    Affine,
    ChainWeights,
    CompiledChain,
    Engine,
    Past,
    StandardLogistic,
    StandardNormal,
    choose_engine,
)
from flows.engines.choose import multiplies_in_pairs, without
from flows.engines.threads import pytorch_threads
from flows.engines.triton import WIDEST, FusedStack
from flows.precision import autocast_as_now, full_precision
from student.config import StudentConfig
from student.parts import Parts

FRAMES_AT_ONCE = 64
"""Largest number of conditioning frames computed together on a CPU. The number bounds the memory,
and the working set of PyTorch stays in the cache."""

FRAMES_ON_GPU = 512
"""Largest number of conditioning frames computed together on a GPU. Every layer is a kernel launch,
so a GPU needs more frames to stay busy."""


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
        engine and reason, as `flows.choose_engine` returns them, but without "fused" for networks
        that are too wide.
    """
    chosen, said = choose_engine(like, engine)
    if chosen == "fused" and config.residual_channels > WIDEST:
        needed = f"fused sampling is for at most {WIDEST} residual channels"
        return without(engine, f"{needed}, this student has {config.residual_channels}")
    return chosen, said


class Renderer:
    """Turn noise into a waveform; each call continues the waveform of the call before.

    Args:
        parts: parts of the student.
        weights: weights of the networks and of the rotations between them.
        transformer: the transformer of every network.
        like: a tensor with the noise's batch, dtype and device.
        engine: see `flows.choose_engine`.
    """

    def __init__(
        self,
        parts: Parts,
        weights: ChainWeights,
        transformer: Affine,
        like: Tensor,
        engine: Engine,
    ) -> None:
        self._parts = parts
        self._autocast = autocast_as_now(like)
        self._matrices: list[Tensor] = []
        self._transformer = transformer
        self._past = Past()
        self._chain: CompiledChain | None = None
        self._stacks: list[FusedStack | None] = [None] * len(parts.networks)
        chosen = choose_engine(like, engine)[0]
        if chosen == "compiled":
            self._chain = CompiledChain(weights, like.shape[0], multiplies_in_pairs())
            return
        with torch.no_grad():
            self._matrices = [rotation.matrix() for rotation in parts.rotations]
        if chosen == "fused":
            device = like.device.type
            mixed = torch.is_autocast_enabled(device)
            dtype = torch.get_autocast_dtype(device) if mixed else like.dtype
            self._stacks = [FusedStack(network.layers, dtype) for network in parts.networks]

    @torch.no_grad()
    def __call__(self, z: Tensor, frames: Tensor) -> Tensor:
        """Map noise (B, 1, n * hop_length) and hidden frames (B, H, n) to the next samples."""
        threads = pytorch_threads(1) if self._chain is not None else nullcontext()
        with threads, full_precision(z):
            return self._render(z, frames)

    def _render(self, z: Tensor, frames: Tensor) -> Tensor:
        parts = self._parts
        read, filtering = parts.seen(frames)
        x, _ = parts.fold(z)
        with self._past as past:
            if self._chain is not None:
                x = self._chain(x, read)
            else:
                for k, (network, stack) in enumerate(
                    zip(parts.networks, self._stacks, strict=True)
                ):
                    with self._autocast:
                        params = network(x, read, past, stack)
                    shift, log_scale = self._transformer.split(params)
                    x = x * log_scale.exp() + shift
                    for matrix in self._matrices[k : k + 1]:
                        x = matrix @ x
            x, _ = parts.fold.inverse(x)
            for filter in parts.filters:
                shift, log_scale = filter.shift_and_log_scale(x, filtering, past)
                x = x * log_scale.exp() + shift
        for voice in parts.voices:
            x, _ = voice.inverse(x, frames)
        return x


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
    frame = like.new_empty(like.shape[0], 1, hop_length)
    return torch.cat([base.sample(frame, generator) for _ in range(num_frames)], -1)


def in_pieces(chunks: Iterable[Tensor], longest: int) -> Iterator[Tensor]:
    """Cut chunks of frames (B, H, n) into pieces of at most `longest` frames; skip empty chunks."""
    for chunk in chunks:
        if chunk.shape[-1]:
            yield from chunk.split(longest, -1)
