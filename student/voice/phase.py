"""The running phase of a pitch, which stays exact over hours and across pieces."""

from typing import NamedTuple

import torch
from torch import Tensor


class Phase(NamedTuple):
    """Pitch and phase at the end of a piece of conditioning, where the next piece continues."""

    hz: Tensor
    """Pitch, float64, shape (B, 1); 0 before the first frame."""
    cycles: Tensor
    """Phase in cycles, float64, shape (B, 1)."""


def run_phase(
    hz: Tensor, phase: Phase | None, hop_length: int, sample_rate: int
) -> tuple[Tensor, Tensor, Phase]:
    """Integrate a pitch that is linear between the ends of frames.

    Args:
        hz: pitch at each frame's end, shape (B, L).
        phase: pitch and phase at the end of the previous piece; None for the first piece, whose
            phase begins at 0.
        hop_length: samples per frame.
        sample_rate: Hz.
    Returns:
        phase in cycles and pitch in Hz at each sample, float64, shape (B, L, hop_length) each;
        pitch and phase at the end of this piece.
    """
    hz = hz.double()
    if phase is None:
        phase = Phase(torch.zeros_like(hz[:, :1]), torch.zeros_like(hz[:, :1]))
    before = torch.where(phase.hz > 0, phase.hz, hz[:, :1])
    before = torch.cat([before, hz[:, :-1]], 1)
    # The ONNX exporter rounds constants to 32 bits. Hop and rate stay exact, but their ratio would
    # not.
    turns = (before + hz) / 2 * hop_length / sample_rate
    # Dropping whole cycles keeps the phase as exact after an hour as after a second.
    ends = (phase.cycles + turns.cumsum(1)).remainder(1.0)
    starts = torch.cat([phase.cycles, ends[:, :-1]], 1)
    time = torch.arange(1, hop_length + 1, dtype=hz.dtype, device=hz.device)
    slope = (hz - before)[..., None] / hop_length
    cycles = starts[..., None] + (before[..., None] + slope / 2 * time) * (time / sample_rate)
    return cycles, before[..., None] + slope * time, Phase(hz[:, -1:], ends[:, -1:])
