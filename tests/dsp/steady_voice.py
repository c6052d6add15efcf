"""Pulses of a known pitch, and noise, for tests of signal processing and of the voice's loss."""

import torch
from torch import Tensor

from dsp.pulses import pulse_train

RATE, HOP, FRAMES, LOWEST = 16000, 256, 40, 60.0
HZ = 170.0
INSIDE = slice(4, -4)
"""Frames away from the ends."""


def pulses(hz: Tensor) -> Tensor:
    """Make a pulse train with each sample's pitch, (1, 1, T)."""
    train = pulse_train((hz / RATE).cumsum(0), hz, RATE)
    return 0.1 * train[None, None].float()


def steady(hz: float = HZ) -> Tensor:
    """Return the pitch of every sample, (T,)."""
    return torch.full((FRAMES * HOP,), hz, dtype=torch.float64)


def noise(deviation: float = 0.1) -> Tensor:
    """Make white noise, (1, 1, T)."""
    drawn = torch.randn(1, 1, FRAMES * HOP, generator=torch.Generator().manual_seed(1))
    return deviation * drawn


def track(hz: float = HZ) -> Tensor:
    """Return the pitch of every frame, (1, FRAMES)."""
    return torch.full((1, FRAMES), hz)
