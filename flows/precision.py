"""Mixed precision: what is left out of it, and what takes it up again later."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from flows.engines.threads import each_within

T = TypeVar("T")


def full_precision(like: Tensor) -> torch.autocast:
    """Keep what is computed on a tensor's device out of autocast for a while."""
    return torch.autocast(like.device.type, enabled=False)


def autocast_as_now(like: Tensor) -> torch.autocast:
    """Return autocast as it is now on a tensor's device, to be entered later."""
    device = like.device.type
    dtype, enabled = torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)
    return torch.autocast(device, dtype, enabled)


def each_in_full_precision(made: Iterable[T], like: Tensor) -> Iterator[T]:
    """Have each of some things made outside autocast on a tensor's device."""
    return each_within(made, partial(full_precision, like))
