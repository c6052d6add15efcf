"""The inputs of generation: recordings and saved log-mels, read as frames."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from data import (
    MelConfig,
    PitchConfig,
    check_pitch_rows,
    pitch_rows,
    read_waveform,
    with_pitch,
)
from pipelines.generation.input_errors import InputError
from pipelines.generation.long_audio import log_mel_in_pieces
from storage.arrays import ArrayError, open_array

FRAMES_PER_PIECE = 1024
"""Number of a recording's mel frames that are computed at once: 16 s at 16 kHz, hop 256."""


def read_frames(
    source: Path, config: MelConfig, pitch: PitchConfig, *, pitch_shift: float = 0.0
) -> np.ndarray:
    """Read the frames of a recording or of a saved array.

    Args:
        source: an audio file, or a log-mel `.npy` of shape (num_mels, L), followed by the rows of
            `pitch`.
        config: convention of the log-mel.
        pitch: the pitch rows that the model is given.
        pitch_shift: number of semitones added to the pitch.
    Returns:
        log-mel frames, followed by the rows of pitch, float32, shape (rows, L).
    Raises:
        ValueError: if the file cannot be used; the message names the file and the problem.
    """
    if source.suffix.lower() == ".npy":
        frames = read_saved_frames(source, config, pitch)
    else:
        waveform = read_waveform(source, config.sample_rate)
        short = -len(waveform) % config.hop_length
        padded = np.pad(waveform, (0, short))
        frames = log_mel_in_pieces(padded, config, frames_per_piece=FRAMES_PER_PIECE)
        batch = torch.from_numpy(frames)[None], torch.from_numpy(padded)[None, None]
        frames = with_pitch(*batch, config, pitch)[0].numpy()
    if pitch.num_rows:
        frames[config.num_mels] += pitch_shift / 12
        _check_pitch(source, frames, config)
    return frames


def read_saved_frames(source: Path, config: MelConfig, pitch: PitchConfig) -> np.ndarray:
    """Read the frames of a `.npy` file, see `read_frames`."""
    if source.exists() and not source.is_file():  # reading a pipe would wait
        raise InputError(f"{source}: not a file")
    try:
        frames = open_array(source)
    except ArrayError as error:
        raise InputError(str(error)) from error
    if frames.dtype.kind != "f":
        raise InputError(f"{source}: holds {frames.dtype}, expected floats")
    num_rows = config.num_mels + pitch.num_rows
    if frames.ndim != 2 or frames.shape[0] != num_rows or frames.shape[1] == 0:
        below = " and below them two rows, pitch (log2 of Hz) and voicing (0 or 1)"
        raise InputError(
            f"{source}: has shape {frames.shape}, expected ({num_rows}, L): {config.num_mels} "
            f"log-mel bands{below if pitch.num_rows else ''}"
        )
    if not np.isfinite(frames).all():
        raise InputError(f"{source}: holds values that are not finite")
    frames = frames.astype(np.float32)
    if pitch.num_rows:
        _check_pitch(source, frames, config)
        rows = torch.from_numpy(frames[config.num_mels :])
        rows.copy_(pitch_rows(rows[:1], rows[1:], pitch)[0])
    return frames


def _check_pitch(source: Path, frames: np.ndarray, config: MelConfig) -> None:
    try:
        check_pitch_rows(torch.from_numpy(frames[config.num_mels :]), config.sample_rate)
    except ValueError as error:
        raise InputError(f"{source}: {error}") from error


def left_out_lines(left_out: Mapping[str, str]) -> Sequence[str]:
    """Describe what a search left out, one line each."""
    return [f"left out: {name}: {reason}" for name, reason in left_out.items()]


def check_max_seconds(max_seconds: float | None) -> None:
    """Raise InputError unless a maximal length is positive and finite, or None."""
    if max_seconds is not None and not 0 < max_seconds < math.inf:
        raise InputError(f"max_seconds is {max_seconds}, expected a finite number > 0")
