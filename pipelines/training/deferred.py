"""Numbers that a device computes and the host reads later, without waiting in between.

The training loop reads the outcome of a step this way, one step later.
"""

import torch
from torch import Tensor


class Deferred:
    """Numbers on the way from a device to the host.

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
        """Wait until the numbers have arrived; work queued after them is not waited for."""
        if self._arrived is not None:
            self._arrived.synchronize()
        found: list[float] = self._numbers.tolist()
        return found
