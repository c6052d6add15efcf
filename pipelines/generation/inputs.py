"""The inputs of generation: recordings and saved log-mels, read as frames."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from data import (
    MEL_SUFFIXES,
    ConventionError,
    MelConfig,
    MelFileError,
    MelFormat,
    MelStatistics,
    PitchConfig,
    check_convention,
    check_pitch_rows,
    pitch_rows,
    read_mel_file,
    read_waveform,
    to_model,
    with_pitch,
)
from pipelines.generation.input_errors import InputError
from pipelines.generation.long_audio import log_mel_in_pieces

MODEL_FORMAT = MelFormat()
"""The format of log-mels that are in the model's convention; their values are checked."""

FRAMES_PER_PIECE = 1024
"""Number of a recording's mel frames that are computed at once: 16 s at 16 kHz, hop 256."""


def holds_mel(source: Path) -> bool:
    """Tell from an input's name whether it is a saved log-mel."""
    return source.suffix.lower() in MEL_SUFFIXES


def read_frames(
    source: Path,
    config: MelConfig,
    pitch: PitchConfig,
    *,
    pitch_shift: float = 0.0,
    mels: MelFormat = MODEL_FORMAT,
    statistics: MelStatistics | None = None,
) -> np.ndarray:
    """Read the frames of a recording or of a saved array.

    Args:
        source: an audio file, or a file whose suffix is in `MEL_SUFFIXES`: log-mel bands, followed
            by the rows of `pitch`.
        config: convention of the log-mel.
        pitch: the pitch rows that the model is given.
        pitch_shift: number of semitones added to the pitch.
        mels: layout and convention of saved log-mels.
        statistics: statistics of the model's training corpus, for `check_convention`.
    Returns:
        log-mel frames in the model's convention, followed by the rows of pitch, float32, shape
        (rows, L).
    Raises:
        ValueError: if the file cannot be used; the message names the file and the problem.
    """
    if holds_mel(source):
        frames = read_saved_frames(source, config, pitch, mels, statistics)
    else:
        waveform = read_waveform(source, config.sample_rate)
        short = -len(waveform) % config.hop_length
        padded = np.pad(waveform, (0, short))
        frames = log_mel_in_pieces(padded, config, frames_per_piece=FRAMES_PER_PIECE)
        batch = torch.from_numpy(frames)[None], torch.from_numpy(padded)[None, None]
        frames = with_pitch(*batch, config, pitch)[0].numpy()
    if pitch.num_rows:
        frames[config.num_mels] += pitch_shift / 12
        _check_pitch(source, frames[config.num_mels :], config)
    return frames


def read_saved_frames(
    source: Path,
    config: MelConfig,
    pitch: PitchConfig,
    mels: MelFormat = MODEL_FORMAT,
    statistics: MelStatistics | None = None,
) -> np.ndarray:
    """Read the frames of a saved array; see `read_frames` for arguments, result and errors."""
    below = " and below them two rows, pitch (log2 of Hz) and voicing (0 or 1)"
    rows = f"{config.num_mels} log-mel bands{below if pitch.num_rows else ''}"
    try:
        array = read_mel_file(source, config.num_mels + pitch.num_rows, mels, rows)
    except MelFileError as error:
        raise InputError(str(error)) from error
    given = array[config.num_mels :].astype(np.float32)
    if pitch.num_rows:
        _check_pitch(source, given, config)
    bands = mels.in_bands(array[: config.num_mels], config)
    try:
        known = None if mels.convention == "model" else statistics
        check_convention(bands, mels.known_convention, config, known)
    except ConventionError as error:
        hint = "" if mels.convention else "; give mel_convention, model if they are the model's own"
        raise InputError(f"{source}: {error}{hint}") from error
    frames = np.concatenate([to_model(bands, mels.known_convention, config), given])
    if pitch.num_rows:
        pitched = torch.from_numpy(frames[config.num_mels :])
        pitched.copy_(pitch_rows(pitched[:1], pitched[1:], pitch)[0])
    return frames


def _check_pitch(source: Path, rows: np.ndarray, config: MelConfig) -> None:
    try:
        check_pitch_rows(torch.from_numpy(rows), config.sample_rate)
    except ValueError as error:
        raise InputError(f"{source}: {error}") from error


def left_out_lines(left_out: Mapping[str, str]) -> Sequence[str]:
    """Return a line for each file or folder that a search left out, with the reason."""
    return [f"left out: {name}: {reason}" for name, reason in left_out.items()]


def check_max_seconds(max_seconds: float | None) -> None:
    """Raise InputError unless a maximal length is positive and finite, or None."""
    if max_seconds is not None and not 0 < max_seconds < math.inf:
        raise InputError(f"max_seconds is {max_seconds}, expected a finite number > 0")
