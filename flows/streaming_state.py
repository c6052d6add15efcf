"""The streaming state of causal layers: their past inputs, for a signal that comes in chunks."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


class Past:
    """The streaming state of a network's causal layers: each layer's last inputs before a chunk.

    Every pass over a chunk runs the layers in one fixed order, and the state keeps the layers'
    inputs in that order. Use the state as a context manager around each pass:

        past = Past()
        for chunk, frames in chunks:
            with past:
                params.append(wavenet(chunk, frames, past))

    The joined results equal one pass over the whole signal, up to float rounding. The lengths of
    all kept inputs add up to the receptive field.

    Args:
        kept: the `kept` inputs of another state, to continue from; empty before the first chunk.
    """

    def __init__(self, kept: Sequence[Tensor] = ()) -> None:
        self._kept = list(kept)
        self._next = 0

    @property
    def kept(self) -> tuple[Tensor, ...]:
        """Every layer's last inputs, in the order in which a pass runs the layers.

        Each has shape (B, C, length), or (B, length, C) for a layer that computes in rows.
        """
        return tuple(self._kept)

    def __enter__(self) -> "Past":
        self._next = 0
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        assert kind is not None or self._next == len(self._kept)

    def before(self, x: Tensor, length: int, time: int = 2) -> Tensor:
        """Return a chunk (B, C, T) with the `length` samples before it: (B, C, length + T).

        For a layer that computes in rows, the chunk has shape (B, T, C) and `time` is 1.
        """
        extended = torch.cat([self._last(x, length, time), x], time)
        self._keep(extended.narrow(time, extended.shape[time] - length, length))
        return extended

    def swap(self, x: Tensor, length: int) -> Tensor:
        """Return the `length` samples before a chunk (B, C, T), shape (B, C, length).

        The state then keeps the last `length` samples, as after `before`. The chunk is not copied.
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
    """Prepend the earlier samples to a signal: the chunk's past, or zeros.

    Args:
        x: signal, shape (B, C, T).
        length: number of samples to prepend.
        past: streaming state of a signal in chunks; None to prepend zeros.
    Returns:
        shape (B, C, length + T).
    """
    return F.pad(x, (length, 0)) if past is None else past.before(x, length)
