"""The past of a signal that is computed chunk by chunk."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


class Past:
    """What the causal layers of a network read before a chunk: the ends of the chunks before.

    One pass over a chunk asks for its layers' pasts in an order that is the same for every chunk,
    so they are kept in that order. Use it as a context manager around each pass:

        past = Past()
        for chunk, frames in chunks:
            with past:
                params.append(wavenet(chunk, frames, past))

    Joined, the results equal one pass over the whole signal to float rounding; what is kept has the
    length of the receptive field.

    Args:
        kept: what another one has `kept`, to continue from; empty before the first chunk.
    """

    def __init__(self, kept: Sequence[Tensor] = ()) -> None:
        self._kept = list(kept)
        self._next = 0

    @property
    def kept(self) -> tuple[Tensor, ...]:
        """Every layer's past, shape (B, C, length) each, in the order of the passes.

        Of layers in rows of channels, (B, length, C).
        """
        return tuple(self._kept)

    def __enter__(self) -> "Past":
        self._next = 0
        return self

    def __exit__(self, *_: object) -> None:
        assert self._next == len(self._kept)

    def before(self, x: Tensor, length: int, time: int = 2) -> Tensor:
        """Return a chunk (B, C, T) with the `length` samples before it: (B, C, length + T).

        In rows of channels, a chunk (B, T, C), dimension 1 is `time`.
        """
        extended = torch.cat([self._last(x, length, time), x], time)
        self._keep(extended.narrow(time, extended.shape[time] - length, length))
        return extended

    def swap(self, x: Tensor, length: int) -> Tensor:
        """Return the `length` samples before a chunk (B, C, T) alone: (B, C, length).

        For who reads both where they are: the chunk is not copied.
        """
        before = self._last(x, length)
        end = x[..., max(0, x.shape[-1] - length) :]
        if end.shape[-1] < length:
            end = torch.cat([before[..., end.shape[-1] :], end], -1)
        self._keep(end)
        return before

    def _last(self, x: Tensor, length: int, time: int = 2) -> Tensor:
        if self._next == len(self._kept):
            self._kept.append(x.new_zeros([*x.shape[:time], length, *x.shape[time + 1 :]]))
        return self._kept[self._next]

    def _keep(self, end: Tensor) -> None:
        # A copy: a view would keep the whole chunk.
        self._kept[self._next] = end.clone()
        self._next += 1


def with_past(x: Tensor, length: int, past: Past | None) -> Tensor:
    """Put what came before in front of a signal: a chunk's past, or silence.

    Args:
        x: signal, shape (B, C, T).
        length: samples wanted before it.
        past: of a signal in chunks; None at the start of a signal.
    Returns:
        shape (B, C, length + T).
    """
    return F.pad(x, (length, 0)) if past is None else past.before(x, length)
