"""How a student turns noise into a waveform where nothing is to be learned: in pieces, and fast."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from flows import (
    Affine,
    CausalConvolution,
    CompiledChain,
    ContextShift,
    Engine,
    Fold,
    Past,
    Rotation,
    StandardLogistic,
    StandardNormal,
    WaveNet,
    choose_engine,
)

FRAMES_AT_ONCE = 64
"""Conditioning frames computed together, at most: what bounds the memory, and keeps PyTorch in the
cache."""


class Renderer:
    """Turn noise into a waveform that continues from call to call.

    Args:
        networks: of the flows, noise side first.
        transformer: of every flow.
        filters: after the last flow, none or one.
        like: a tensor with the noise's batch, dtype and device.
        hop_length: samples per frame of the conditioning.
        engine: see `flows.choose_engine`; "torch" for a frame student.
        rotations: of a frame student, between its networks.
        voices: what the context carries, none or one; added last.
    """

    def __init__(
        self,
        networks: Sequence[WaveNet],
        transformer: Affine,
        filters: Sequence[CausalConvolution],
        like: Tensor,
        hop_length: int,
        engine: Engine,
        rotations: Sequence[Rotation] = (),
        voices: Sequence[ContextShift] = (),
    ) -> None:
        self._networks = networks
        with torch.no_grad():
            self._matrices = [rotation.matrix() for rotation in rotations]
        self._fold = Fold(networks[0].num_channels)
        self._transformer = transformer
        self._filters = filters
        self._voices = voices
        self._past = Past()
        self._chain: CompiledChain | None = None
        if choose_engine(like, engine)[0] == "compiled":
            self._chain = CompiledChain(networks, transformer, like.shape[0], hop_length)

    @torch.no_grad()
    def __call__(self, z: Tensor, frames: Tensor) -> Tensor:
        """Render noise (B, 1, n * hop_length) under n hidden frames (B, H, n): a waveform."""
        x = z if self._chain is None else self._chain(z, frames)
        with self._past as past:
            if self._chain is None:
                x, _ = self._fold(x)
                for k, network in enumerate(self._networks):
                    shift, log_scale = self._transformer.split(network(x, frames, past))
                    x = x * log_scale.exp() + shift
                    for matrix in self._matrices[k : k + 1]:
                        with torch.autocast(x.device.type, enabled=False):
                            x = matrix @ x
                x, _ = self._fold.inverse(x)
            for filter in self._filters:
                shift, log_scale = filter.shift_and_log_scale(x, frames, past)
                x = x * log_scale.exp() + shift
        for voice in self._voices:
            x, _ = voice.inverse(x, frames)
        return x


def draw_frames(
    base: StandardNormal | StandardLogistic,
    like: Tensor,
    num_frames: int,
    hop_length: int,
    generator: torch.Generator | None,
) -> Tensor:
    """Draw noise frame by frame, so that it does not depend on how frames are put together.

    Args:
        base: distribution of the noise.
        like: a tensor with the noise's batch, dtype and device.
        num_frames: frames, n.
        hop_length: samples per frame.
        generator: source of randomness.
    Returns:
        noise, shape (B, 1, n * hop_length).
    """
    frame = like.new_empty(like.shape[0], 1, hop_length)
    return torch.cat([base.sample(frame, generator) for _ in range(num_frames)], -1)


def in_pieces(chunks: Iterable[Tensor], longest: int) -> Iterator[Tensor]:
    """Cut chunks of frames (B, H, n) into pieces of at most `longest`, leaving out none."""
    for chunk in chunks:
        if chunk.shape[-1]:
            yield from chunk.split(longest, -1)
