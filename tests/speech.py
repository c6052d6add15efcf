"""Real speech for tests: utterances of named corpora, fetched once into `corpora/`."""

from pathlib import Path

import torch
from torch import Tensor

from data import fetch, read_waveform

CORPORA = Path(__file__).parents[1] / "corpora"


def speech(sample_rate: int = 16000, corpus: str = "allison", name: str = "conf-getpin") -> Tensor:
    """Read an utterance.

    Args:
        sample_rate: wanted rate, Hz.
        corpus: a key of `data.CORPORA` that is a Debian package; unpacked the first time.
        name: name of the utterance. The default, 2.4 s, is in the test split of every corpus that
            has it, so no model was trained on it.
    Returns:
        shape (1, 1, T), float64.
    """
    path = fetch(corpus, CORPORA) / f"{name}.g722"
    return torch.from_numpy(read_waveform(path, sample_rate)).double()[None, None]
