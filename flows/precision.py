"""Mixed precision: contexts that leave autocast, and contexts that enter it again later."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from flows.engines.threads import each_within

T = TypeVar("T")


def full_precision(like: Tensor) -> torch.autocast:
    """Return a context without autocast on a tensor's device."""
    return torch.autocast(like.device.type, enabled=False)


def autocast_as_now(like: Tensor) -> torch.autocast:
    """Return a context with the present autocast of a tensor's device, to be entered later."""
    device = like.device.type
    dtype, enabled = torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)
    return torch.autocast(device, dtype, enabled)


def each_in_full_precision(made: Iterable[T], like: Tensor) -> Iterator[T]:
    """Yield an iterable's items, making each item without autocast on a tensor's device."""
    return each_within(made, partial(full_precision, like))
