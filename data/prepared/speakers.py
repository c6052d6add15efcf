"""The speaker as conditioning: a row for each speaker below the bands of the log-mel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from data.prepared.manifest import DataError


def speaker_of(name: str) -> str:
    """Return the speaker of an utterance: the first folder of its name.

    Args:
        name: path relative to the corpus folder, as `allison/digits/1`.
    Raises:
        DataError: if the name has no folder.

    >>> speaker_of("allison/audio/digits/1")
    'allison'
    """
    speaker, _, rest = name.partition("/")
    if not rest:
        raise DataError(
            f"utterance {name!r} lies in no folder, expected one folder for each speaker"
        )
    return speaker


def speakers_of(names: Iterable[str]) -> tuple[str, ...]:
    """List the speakers of utterances, sorted, without repeats."""
    return tuple(sorted({speaker_of(name) for name in names}))


def with_speaker(log_mel: Tensor, speakers: Sequence[str], speaker: str | None) -> Tensor:
    """Add a row for each speaker to log-mel frames: 1 for the one who speaks, 0 for the others.

    Args:
        log_mel: shape (..., num_mels, L).
        speakers: the speakers that a model knows; none for a model without speakers.
        speaker: the one who speaks; None for a model without speakers.
    Returns:
        frames, shape (..., num_mels + len(speakers), L).
    Raises:
        DataError: if the speaker is unknown or missing, or if the model has no speakers.
    """
    if not speakers and speaker is None:
        return log_mel
    if speaker not in speakers:
        expected = (
            f"one of {', '.join(speakers)}" if speakers else "none: the model has no speakers"
        )
        raise DataError(f"speaker is {speaker!r}, expected {expected}")
    *batch, _, length = log_mel.shape
    rows = log_mel.new_zeros(*batch, len(speakers), length)
    rows[..., speakers.index(speaker), :] = 1
    return torch.cat([log_mel, rows], -2)
