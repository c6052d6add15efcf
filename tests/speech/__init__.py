"""Real speech for tests."""

from pathlib import Path

import torch
from torch import Tensor

from data import read_waveform

SPEECH = Path(__file__).parent / "conf-getpin.flac"


def speech(sample_rate: int = 16000) -> Tensor:
    """Read 2.4 s of a voice, shape (1, 1, T), float64."""
    return torch.from_numpy(read_waveform(SPEECH, sample_rate)).double()[None, None]
