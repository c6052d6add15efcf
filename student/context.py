"""What the parts of a student read of the conditioning."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor


class StudentContext(NamedTuple):
    """The hidden frames of a student, one tensor for each part that reads them.

    All tensors have N hidden frames, along the last axis; see
    `StudentConfig.samples_per_hidden_frame`.
    """

    network: Tensor
    """Context of the networks, shape (B, H, N)."""
    filter: Tensor | None
    """Context of the filter after the flows, shape (B, J, N): the networks' context, or beside a
    voice the parameters of the filter. None for a student whose voice comes without a filter."""
    voice: Tensor | None
    """The voice, folded into frames of r samples, shape (B, r, N); None without a voice."""

    @property
    def shape(self) -> torch.Size:
        """Shape of the networks' context."""
        return self.network.shape

    def split(self, longest: int) -> "Iterator[StudentContext]":
        """Cut the hidden frames into pieces of at most `longest` frames."""
        parts = [part.split(longest, -1) for part in self if part is not None]
        for pieces in zip(*parts, strict=True):
            given = iter(pieces)
            yield StudentContext(*(None if part is None else next(given) for part in self))

    def lerp(self, end: "StudentContext", weight: float) -> "StudentContext":
        """Interpolate linearly between this context (weight 0) and another (weight 1)."""
        pairs = zip(self, end, strict=True)
        return StudentContext(*(None if a is None else a.lerp(b, weight) for a, b in pairs))


def context_of(frames: Tensor) -> StudentContext:
    """Return the context of a student in which all parts read the same frames (B, H, N)."""
    return StudentContext(frames, frames, None)
