"""Audio files read: one channel of float samples in [-1, 1]."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import soundfile
import soxr

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
# The container each suffix stands for. Left to find out by itself, libav would also take a file for
# a playlist or a session description, and open the files and addresses that those name.
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
"""Suffixes (lower case, with the dot) of the files taken for audio."""

_INT16_SCALE = 32768.0
# About three steps of 16-bit audio: below it there is dither or an offset, but no speech.
_SILENCE_PEAK = 1e-4
# A damaged header that says 1 Hz would turn seconds into hours.
_PLAUSIBLE_RATES_HZ = range(4000, 768001)
# Of all channels together: 3 h of stereo at 48 kHz, 4 GB. A few bytes can claim, and some codecs
# can hold, far more.
_MAX_SAMPLES = 2**30
_BLOCK_SAMPLES = 2**20

FloatArray = npt.NDArray[np.float32]


class AudioError(ValueError):
    """An audio file that cannot be used: `path`, and the `reason` in one line."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def read_waveform(path: Path, sample_rate: int, *, min_seconds: float = 0.0) -> FloatArray:
    """Read a file as one channel at the wanted rate; its peak is left alone.

    Channels are averaged. A WAV file whose header promises more than follows (a recorder that was
    killed, a stream of unknown length) yields the samples that are there; a compressed file cut
    short is refused where its decoder objects.

    Args:
        path: a file with one of `AUDIO_SUFFIXES`.
        sample_rate: wanted rate in Hz.
        min_seconds: the shortest clip accepted.
    Returns:
        Samples, shape (T,), nominally in [-1, 1].
    Raises:
        AudioError: if the file is missing, empty, not audio, has no, non-finite or only silent
            samples, or is too short or far too long.
    """
    path = Path(path)
    if not path.is_file():
        raise AudioError(path, "not a file" if path.exists() else "no such file")
    waveform, source_rate = _decode(path)
    if not np.isfinite(waveform).all():
        raise AudioError(path, "NaN or infinite samples")
    if source_rate not in _PLAUSIBLE_RATES_HZ:
        raise AudioError(path, f"sample rate is {source_rate} Hz, expected 4000 to 768000 Hz")
    if source_rate != sample_rate:
        waveform = soxr.resample(waveform, source_rate, sample_rate, quality="HQ")
    peak = float(np.abs(waveform).max(initial=0.0))
    if peak < _SILENCE_PEAK:
        raise AudioError(path, f"silent (peak {peak:.1e}, expected >= {_SILENCE_PEAK:.0e})")
    seconds = len(waveform) / sample_rate
    if seconds < min_seconds:
        raise AudioError(path, f"too short ({seconds:.3f} s, expected >= {min_seconds:g} s)")
    return np.asarray(waveform, dtype=np.float32)


def to_int16(waveform: npt.NDArray[np.floating[Any]]) -> tuple[npt.NDArray[np.int16], int]:
    """Round to 16 bits.

    Args:
        waveform: float samples, any shape.
    Returns:
        The samples as int16, same shape; how many lay outside [-1, 1] and were clipped.

    >>> to_int16(np.array([0.5, -1.0, 1.0, 1.5]))
    (array([ 16384, -32768,  32767,  32767], dtype=int16), 1)
    """
    limits = np.iinfo(np.int16)
    scaled = np.round(waveform * _INT16_SCALE).clip(limits.min, limits.max)
    return scaled.astype(np.int16), int(np.count_nonzero(np.abs(waveform) > 1))


def from_int16(samples: npt.NDArray[np.int16]) -> FloatArray:
    """Turn 16-bit samples, any shape, into float32 in [-1, 1)."""
    return samples.astype(np.float32) / np.float32(_INT16_SCALE)


def _decode(path: Path) -> tuple[FloatArray, int]:
    """Samples (T,), averaged over channels, and rate in Hz as they are in the file."""
    suffix = path.suffix.lower()
    if suffix not in AUDIO_SUFFIXES:
        found = f"{suffix} suffix is not" if suffix else "no suffix, expected"
        raise AudioError(path, f"{found} that of an audio file")
    if path.stat().st_size == 0:
        raise AudioError(path, "empty file")
    try:
        return _decode_soundfile(path) if suffix in _SOUNDFILE_SUFFIXES else _decode_av(path)
    except AudioError:
        raise
    # The decoders meet arbitrary bytes and raise whatever those lead to; some of PyAV's errors
    # derive from Exception alone.
    except Exception as error:
        reason = getattr(error, "error_string", None) or getattr(error, "strerror", None) or error
        words = " ".join(str(reason).split()).rstrip(".")
        raise AudioError(path, f"unreadable audio ({words.removeprefix('Error : ')})") from error


def _decode_soundfile(path: Path) -> tuple[FloatArray, int]:
    with soundfile.SoundFile(os.fsencode(path)) as file:  # names need not be UTF-8
        return _joined(path, _soundfile_blocks(file)), int(file.samplerate)


def _soundfile_blocks(file: soundfile.SoundFile) -> Iterator[FloatArray]:
    """Decoded blocks, each (samples, channels): a header may promise more than there is memory."""
    num_frames = max(1, _BLOCK_SAMPLES // file.channels)
    while len(block := file.read(num_frames, dtype="float32", always_2d=True)):
        yield block


def _joined(path: Path, blocks: Iterator[FloatArray]) -> FloatArray:
    """Blocks, each (samples, channels), as one channel (T,)."""
    total, averaged = 0, []
    for block in blocks:
        total += block.size
        if total > _MAX_SAMPLES:
            raise AudioError(path, f"more than {_MAX_SAMPLES} samples: cut it into shorter files")
        averaged.append(block.mean(axis=1))
    if not total:
        raise AudioError(path, "no samples")
    return np.concatenate(averaged)


def _decode_av(path: Path) -> tuple[FloatArray, int]:
    # An open file rather than its name: libav takes "a:b.m4a" for protocol a.
    container_format = _PYAV_FORMATS[path.suffix.lower()]
    with open(path, "rb") as file, av.open(file, format=container_format) as container:
        if not container.streams.audio:
            raise AudioError(path, "no audio stream")
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise AudioError(path, "no decoder for its audio stream")
        blocks = _float_blocks(container, stream)
        return _joined(path, blocks), int(stream.codec_context.sample_rate)


def _float_blocks(container: Any, stream: Any) -> Iterator[FloatArray]:
    """Decoded blocks, each (samples, channels), whatever the codec's sample format."""
    # Interleaved: of planar frames with 8 channels or more PyAV reads beyond the last plane.
    to_float = av.AudioResampler(format="flt", rate=stream.codec_context.sample_rate)
    for frame in chain(container.decode(stream), [None]):
        for block in to_float.resample(frame):
            samples = np.asarray(block.to_ndarray(), dtype=np.float32)
            yield samples.reshape(-1, block.layout.nb_channels)
