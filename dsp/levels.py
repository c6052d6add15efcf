"""Levels of frames, and what counts as silence."""

import torch
from torch import Tensor

SILENT_DBFS = -60.0
"""Level, in dBFS, below which a frame of a recording counts as silent."""
LEAST_POWER = 1e-12
"""Smallest mean square of a frame: -120 dBFS."""


def frame_levels(waveform: Tensor, hop_length: int) -> Tensor:
    """Return the RMS level of each frame in dBFS.

    Args:
        waveform: shape (B, 1, T); an incomplete last frame is left out.
        hop_length: samples per frame.
    Returns:
        levels in dBFS, at least -120, shape (B, T // hop_length), of the waveform's dtype.
    """
    whole = waveform.shape[-1] // hop_length * hop_length
    frames = waveform[:, 0, :whole].unflatten(-1, (-1, hop_length) if whole else (0, hop_length))
    return 10 * frames.square().mean(-1).clamp(min=LEAST_POWER).log10()


@torch.no_grad()
def level_in_silence(sample: Tensor, recording: Tensor, hop_length: int) -> float | None:
    """Return the mean level of a sample, in dBFS, in the frames where the recording is silent.

    Args:
        sample: shape (B, 1, T).
        recording: shape (B, 1, T).
        hop_length: samples per frame.
    Returns:
        the level, or None if the recording has no silent frame.
    """
    silent = frame_levels(recording, hop_length) < SILENT_DBFS
    return float(frame_levels(sample, hop_length)[silent].mean()) if silent.any() else None
