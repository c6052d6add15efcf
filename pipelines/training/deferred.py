"""Numbers that the host learns when the device has got there, without holding it up meanwhile.

The training loop reads the outcome of a step by them, one step later.
"""

import torch
from torch import Tensor


class Deferred:
    """Numbers on their way from a device to the host.

    Args:
        numbers: shape (N,).
    """

    def __init__(self, numbers: Tensor) -> None:
        self._numbers = numbers.detach().to("cpu", non_blocking=True)
        self._arrived: torch.cuda.Event | None = None
        if numbers.is_cuda:
            self._arrived = torch.cuda.Event()
            self._arrived.record()

    def read(self) -> list[float]:
        """Wait for the numbers, but for nothing that the device was asked for after them."""
        if self._arrived is not None:
            self._arrived.synchronize()
        found: list[float] = self._numbers.tolist()
        return found
