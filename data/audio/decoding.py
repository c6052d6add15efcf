"""Audio files decoded to samples, by libsndfile or, for kinds that it does not know, by libav."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from itertools import chain
from typing import IO, Any

import av
import numpy as np
import numpy.typing as npt
import soundfile

from data.audio.containers import (
    HEAD_BYTES,
    IN_WORDS,
    container_of,
    describe_unknown,
    tag_length,
)
from data.audio.parts import joined_files

_BY_SOUNDFILE = frozenset(("aiff", "au", "caf", "flac", "mp3", "ogg", "sph", "w64", "wav"))
# For these kinds, libav knows codecs that libsndfile does not, and reads files without a length.
# libav would also read damaged MP3 and Ogg files, without the damaged part; those stay refused.
_ELSE_BY_AV = frozenset(("aiff", "au", "caf", "flac", "wav"))
_UNKNOWN_LENGTH = 2**63 - 1
# Samples of all channels together: 3 h of stereo at 48 kHz, 4 GB. A header of a few bytes can
# claim far more, and so can some codecs.
_MAX_SAMPLES = 2**30
_BLOCK_SAMPLES = 2**20
# If one channel is the other's negative, rounding to 16 bits leaves about one step of their mean.
_CANCELLED = 1e-3

FloatArray = npt.NDArray[np.float32]


class DecodingError(ValueError):
    """A file without usable samples; the message is the reason in one line."""


class _NoSamplesError(Exception):
    pass


def decode_audio(file: IO[bytes], by_name: str | None) -> list[tuple[FloatArray, int]]:
    """Decode a file by its content.

    Args:
        file: file open for reading, without a buffer, because libsndfile reads from its descriptor.
        by_name: the kind that the file's suffix stands for, a key of `IN_WORDS`, or None.
    Returns:
        a list with one pair: the samples, shape (T,), averaged over channels, and their rate in Hz.
        If several audio files were joined into this file, the list has a pair for each of them.
    Raises:
        DecodingError: if the file is not audio, is damaged, holds no samples, or is far too long.
    """
    container = _container(file, by_name)
    return [_decode_one(part, container) for part in joined_files(file, container)]


def _container(file: IO[bytes], by_name: str | None) -> str:
    head = file.read(HEAD_BYTES)
    file.seek(tag_length(head))
    after_tags = file.read(HEAD_BYTES)
    container = container_of(after_tags, by_name)
    # A stream of frames may begin within a frame; its decoder looks for the first whole one.
    if container is None and by_name in ("aac", "ac3", "mp3") and not _is_text(after_tags):
        return by_name
    if container is None:
        raise DecodingError(f"unreadable audio ({describe_unknown(head)})")
    return container


def _is_text(head: bytes) -> bool:
    return describe_unknown(head).startswith(("text", "a pointer", "zeros"))


def _decode_one(file: IO[bytes], container: str) -> tuple[FloatArray, int]:
    # The decoders read arbitrary bytes and can raise anything; some of PyAV's errors derive from
    # Exception alone.
    try:
        if container not in _BY_SOUNDFILE:
            return _decode_av(file, container)
        try:
            return _decode_soundfile(file)
        except Exception:
            if container not in _ELSE_BY_AV or _says_its_length(file):
                raise
            try:
                return _decode_av(file, container)
            except Exception:
                pass  # libsndfile's message is clearer
            raise
    except DecodingError:
        raise
    except _NoSamplesError as error:
        raise DecodingError(
            f"no samples: an empty, damaged or incomplete {IN_WORDS[container]}"
        ) from error
    except Exception as error:
        raise DecodingError(
            f"unreadable audio (damaged or incomplete {IN_WORDS[container]}{_words_of(error)})"
        ) from error


def _words_of(error: Exception) -> str:
    """Quote the decoder's message, if it says anything."""
    reason = getattr(error, "error_string", None) or getattr(error, "strerror", None) or error
    words = " ".join(str(reason).split()).rstrip(".").removeprefix("Error : ")
    if words.startswith(("Unspecified internal error", "File does not exist", "Error number")):
        return ""
    return f"; its decoder says: {words}"


def _says_its_length(file: IO[bytes]) -> bool:
    """Tell whether libsndfile opens a file and finds the length in its header."""
    try:
        with _opened(file) as opened:
            return 0 < opened.frames < _UNKNOWN_LENGTH
    except soundfile.LibsndfileError:
        return False


def _decode_soundfile(file: IO[bytes]) -> tuple[FloatArray, int]:
    with _opened(file) as opened:
        return _joined(_soundfile_blocks(opened)), int(opened.samplerate)


def _opened(file: IO[bytes]) -> soundfile.SoundFile:
    """Open a file for libsndfile without its name.

    Given a name, libsndfile derives a format from an unknown suffix, and takes a file ._NAME beside
    NAME for a part of the file.
    """
    file.seek(0)
    try:
        descriptor = os.dup(file.fileno())
    except io.UnsupportedOperation:  # the file lies in memory
        return soundfile.SoundFile(file)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return soundfile.SoundFile(descriptor, closefd=True)


def _soundfile_blocks(file: soundfile.SoundFile) -> Iterator[FloatArray]:
    """Yield decoded blocks, each (samples, channels): the whole may exceed memory."""
    num_frames = max(1, _BLOCK_SAMPLES // file.channels)
    while len(block := file.read(num_frames, dtype="float32", always_2d=True)):
        yield block


def _joined(blocks: Iterator[FloatArray]) -> FloatArray:
    """Join blocks, each (samples, channels), and average their channels to (T,)."""
    total, loudest, averaged = 0, 0.0, []
    for block in blocks:
        total += block.size
        loudest = max(loudest, float(np.abs(block).max(initial=0.0)))
        if total > _MAX_SAMPLES:
            raise DecodingError(f"more than {_MAX_SAMPLES} samples: cut it into shorter files")
        averaged.append(block.mean(axis=1))
    if not total:
        raise _NoSamplesError
    mean = np.concatenate(averaged)
    if np.abs(mean).max() < _CANCELLED * loudest:
        raise DecodingError("silent: its channels cancel each other, one is the other's negative")
    return mean


def _decode_av(file: IO[bytes], container: str) -> tuple[FloatArray, int]:
    # Without the kind, libav would also detect playlists and session descriptions, and open the
    # files and addresses that they name.
    file.seek(0)
    with av.open(file, format=container) as opened:
        if not opened.streams.audio:
            raise DecodingError("no audio stream")
        stream = opened.streams.audio[0]
        if stream.codec_context is None:
            raise DecodingError("no decoder for its audio stream")
        blocks = _float_blocks(opened, stream)
        return _joined(blocks), int(stream.codec_context.sample_rate)


def _float_blocks(container: Any, stream: Any) -> Iterator[FloatArray]:
    """Yield decoded blocks, each (samples, channels), from any sample format of the codec."""
    # Interleaved: PyAV reads beyond the last plane of planar frames with 8 channels or more.
    to_float = av.AudioResampler(format="flt", rate=stream.codec_context.sample_rate)
    for frame in chain(container.decode(stream), [None]):
        for block in to_float.resample(frame):
            samples = np.asarray(block.to_ndarray(), dtype=np.float32)
            yield samples.reshape(-1, block.layout.nb_channels)
