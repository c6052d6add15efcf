"""The context of a student: hidden frames for each of its parts."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class StudentContext(NamedTuple):
    """The hidden frames of a student, one tensor for each part that reads them.

    The last axis of each tensor, except the breath, has N hidden frames. A hidden frame serves
    `StudentConfig.samples_per_hidden_frame` samples.
    """

    network: Tensor
    """Context of the networks, shape (B, H, N)."""
    filter: Tensor | None
    """Context of the filter after the flows, shape (B, J, N). With a voice, the context is the
    filter's parameters; without a voice, it is the networks' context. None for a student that has a
    voice and no filter."""
    voice: Tensor | None
    """The voice, folded into frames of r samples, shape (B, r, N); None without a voice."""
    breath: Tensor | None = None
    """Gain of the flow's output in frames with a voice, shape (B, 1); None for the student's own
    gain."""

    @property
    def shape(self) -> torch.Size:
        """Shape of the networks' context."""
        return self.network.shape

    def split(self, longest: int) -> "Iterator[StudentContext]":
        """Cut the hidden frames into pieces of at most `longest` hidden frames."""
        network = self.network.split(longest, -1)
        pieces = zip(
            network, _split(self.filter, network), _split(self.voice, network), strict=True
        )
        for piece in pieces:
            yield StudentContext(*piece, self.breath)

    def lerp(self, end: "StudentContext", weight: float) -> "StudentContext":
        """Interpolate linearly between this context (weight 0) and another (weight 1)."""
        return StudentContext(
            self.network.lerp(end.network, weight),
            _lerp(self.filter, end.filter, weight),
            _lerp(self.voice, end.voice, weight),
            self.breath,
        )


def context_of(frames: Tensor) -> StudentContext:
    """Return the context of a student without a voice: all parts read the frames (B, H, N)."""
    return StudentContext(frames, frames, None)


def _split(part: Tensor | None, like: Sequence[Tensor]) -> Sequence[Tensor | None]:
    """Cut a part into pieces as long as the pieces `like`; a missing part gives None for each."""
    return [None] * len(like) if part is None else part.split([x.shape[-1] for x in like], -1)


def _lerp(start: Tensor | None, end: Tensor | None, weight: float) -> Tensor | None:
    return None if start is None or end is None else start.lerp(end, weight)
