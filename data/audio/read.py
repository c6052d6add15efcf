"""Audio files, read as one channel of float samples, nominally in [-1, 1]."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from data.audio.decoding import DecodingError, FloatArray, decode_audio
from data.audio.parts import AudioFile

_SOUNDFILE_SUFFIXES = frozenset(
    (
        ".wav",
        ".wave",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".aiff",
        ".aif",
        ".aifc",
        ".au",
        ".caf",
        ".w64",
        ".sph",
    )
)
# The kind of file each suffix stands for, by libav's name.
_PYAV_FORMATS = {
    ".g722": "g722",
    ".m4a": "mov",
    ".m4b": "mov",
    ".mp4": "mov",
    ".3gp": "mov",
    ".3g2": "mov",
    ".aac": "aac",
    ".wma": "asf",
    ".webm": "matroska",
    ".mka": "matroska",
    ".mp2": "mp3",
    ".mpga": "mp3",
    ".wv": "wv",
    ".ac3": "ac3",
    ".amr": "amr",
}
AUDIO_SUFFIXES: frozenset[str] = _SOUNDFILE_SUFFIXES | frozenset(_PYAV_FORMATS)
"""Suffixes (lower case, with the dot) of the files that are read as audio."""

_INT16_SCALE = 32768.0
# About three steps of 16-bit audio. A peak below it is dither or an offset, and not speech.
_SILENCE_PEAK = 1e-4
# A damaged header that says 1 Hz would stretch seconds into hours.
_PLAUSIBLE_RATES_HZ = range(4000, 768001)
# Float recordings exceed 1, by a few times in a mix; integers stored as floats reach 32768.
_LOUDEST_PEAK = 16.0


class AudioError(ValueError):
    """An audio file that cannot be used: `path`, and the `reason` in one line."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def read_waveform(path: Path, sample_rate: int, *, min_seconds: float = 0.0) -> FloatArray:
    """Read a file as one channel at the wanted rate, without rescaling.

    Channels are averaged. The first bytes tell the kind of the file. The suffix tells it only for
    G.722, and for MPEG and AC-3 streams that begin within a frame. If several files were joined
    into one, all of them are read. If an uncompressed file is shorter than its
    header promises (a recorder was killed, or a stream has no known length), the samples that exist
    are returned. A truncated compressed file is refused if its decoder refuses it.

    Args:
        path: a file with one of `AUDIO_SUFFIXES`.
        sample_rate: wanted rate in Hz.
        min_seconds: duration of the shortest file accepted, seconds.
    Returns:
        samples, shape (T,), nominally in [-1, 1].
    Raises:
        AudioError: if the file is missing, empty, not audio, too short or far too long; or if its
            samples are not finite, all silent, or far beyond 1.
    """
    path = Path(path)
    if not path.is_file():
        raise AudioError(path, "not a file" if path.exists() else "no such file")
    parts = _decode(path)
    _check_samples(path, parts)
    waveform = np.concatenate([_resampled(*part, sample_rate) for part in parts])
    seconds = len(waveform) / sample_rate
    if seconds < min_seconds:
        raise AudioError(path, f"too short ({seconds:.3f} s, expected >= {min_seconds:g} s)")
    return np.asarray(waveform, dtype=np.float32)


def _resampled(samples: FloatArray, source_rate: int, sample_rate: int) -> FloatArray:
    if source_rate == sample_rate:
        return samples
    return np.asarray(soxr.resample(samples, source_rate, sample_rate, quality="HQ"))


def to_int16(waveform: npt.NDArray[np.floating[Any]]) -> tuple[npt.NDArray[np.int16], int]:
    """Round to 16 bits.

    Args:
        waveform: float samples, any shape.
    Returns:
        the samples as int16, of the waveform's shape, and how many were outside [-1, 1].

    >>> to_int16(np.array([0.5, -1.0, 1.0, 1.5]))
    (array([ 16384, -32768,  32767,  32767], dtype=int16), 1)
    """
    limits = np.iinfo(np.int16)
    scaled = np.round(waveform * _INT16_SCALE).clip(limits.min, limits.max)
    return scaled.astype(np.int16), int(np.count_nonzero(np.abs(waveform) > 1))


def from_int16(samples: npt.NDArray[np.int16]) -> FloatArray:
    """Turn 16-bit samples, any shape, into float32 in [-1, 1)."""
    return samples.astype(np.float32) / np.float32(_INT16_SCALE)


def _decode(path: Path) -> list[tuple[FloatArray, int]]:
    """Decode each file joined in `path`: its samples (T,), channels averaged; its rate in Hz."""
    suffix = path.suffix.lower()
    if suffix not in AUDIO_SUFFIXES:
        found = f"{suffix} suffix is not" if suffix else "no suffix, expected"
        raise AudioError(path, f"{found} that of an audio file")
    try:
        if path.stat().st_size == 0:
            raise DecodingError("empty file")
        with AudioFile(path) as file:
            by_name = "mp3" if suffix == ".mp3" else _PYAV_FORMATS.get(suffix)
            return decode_audio(file, by_name)
    except DecodingError as error:
        raise AudioError(path, str(error)) from error
    except OSError as error:
        raise AudioError(path, f"cannot be read ({error.strerror or error})") from error


def _check_samples(path: Path, parts: list[tuple[FloatArray, int]]) -> None:
    """Refuse samples that cannot be a recording of sound."""
    if not all(np.isfinite(samples).all() for samples, _ in parts):
        raise AudioError(path, "NaN or infinite samples")
    for _, rate in parts:
        if rate not in _PLAUSIBLE_RATES_HZ:
            raise AudioError(path, f"sample rate is {rate} Hz, expected 4000 to 768000 Hz")
    low = min(float(samples.min()) for samples, _ in parts)
    high = max(float(samples.max()) for samples, _ in parts)
    peak = max(abs(low), abs(high))
    if peak > _LOUDEST_PEAK:
        raise AudioError(
            path,
            f"peak is {peak:.0f}, expected about 1: likely 16-bit integers stored as floats, "
            "to be divided by 32768",
        )
    if peak < _SILENCE_PEAK:
        raise AudioError(path, f"silent (peak {peak:.1e}, expected >= {_SILENCE_PEAK:.0e})")
    if high - low < _SILENCE_PEAK:
        raise AudioError(path, f"silent (every sample is about {low:.3g})")
