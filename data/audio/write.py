"""Audio files written: 16 bits, one channel, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile
from torch import Tensor

from data.audio.read import AudioError, to_int16
from storage.atomic import atomic_write

_WRITTEN_FORMATS = {".wav": "WAV", ".flac": "FLAC"}


def write_waveform(path: Path, waveform: npt.NDArray[Any] | Tensor, sample_rate: int) -> int:
    """Write a 16-bit WAV or FLAC file, whole or not at all, without rescaling.

    Args:
        path: ends in .wav or .flac.
        waveform: float samples, shape (T,), (1, T) or (1, 1, T); beyond [-1, 1] they are clipped.
        sample_rate: Hz.
    Returns:
        The number of samples clipped, for the caller to warn about.
    Raises:
        AudioError: for another suffix, shape or type, no samples, or non-finite ones.
    """
    return write_blocks(path, [waveform], sample_rate)[1]


def write_blocks(
    path: Path, blocks: Iterable[npt.NDArray[Any] | Tensor], sample_rate: int
) -> tuple[int, int]:
    """Write a file as `write_waveform`, from blocks that need not be in memory together.

    Args:
        path: ends in .wav or .flac.
        blocks: one or more, each as `write_waveform` takes it.
        sample_rate: Hz.
    Returns:
        The number of samples, and how many of them were clipped.
    Raises:
        AudioError: as `write_waveform`; nothing is written then.
        OSError: if the disk is full or fails; nothing is written then, either.
    """
    path = Path(path)
    if path.suffix.lower() not in _WRITTEN_FORMATS:
        accepted = " or ".join(_WRITTEN_FORMATS)
        raise AudioError(path, f"cannot write {path.suffix!r} files, expected {accepted}")
    num_samples, num_clipped = 0, 0
    container = _WRITTEN_FORMATS[path.suffix.lower()]
    with (
        atomic_write(path) as file,
        _disk_errors(file) as disk,
        soundfile.SoundFile(disk, "w", sample_rate, 1, "PCM_16", format=container) as sound,
    ):
        for block in blocks:
            quantised, more_clipped = to_int16(_writable(path, block))
            sound.write(quantised)
            num_samples += quantised.size
            num_clipped += more_clipped
        if num_samples == 0:
            raise AudioError(path, "no samples, not written")
    return num_samples, num_clipped


def write_pcm(
    file: BinaryIO, blocks: Iterable[npt.NDArray[Any] | Tensor], path: Path
) -> tuple[int, int]:
    """Write raw 16-bit little-endian PCM block by block, each as soon as it is there.

    Args:
        file: a stream open for writing; what has been written stays, whatever comes after.
        blocks: one or more, each as `write_waveform` takes it.
        path: what messages call the stream.
    Returns:
        The number of samples, and how many of them were clipped.
    Raises:
        AudioError: for a shape or type that `write_waveform` refuses, or non-finite samples.
    """
    num_samples, num_clipped = 0, 0
    for block in blocks:
        quantised, more_clipped = to_int16(_writable(path, block))
        file.write(quantised.astype("<i2").tobytes())
        file.flush()
        num_samples += quantised.size
        num_clipped += more_clipped
    return num_samples, num_clipped


def _writable(path: Path, waveform: npt.NDArray[Any] | Tensor) -> npt.NDArray[np.floating[Any]]:
    samples = waveform.detach().float().cpu().numpy() if isinstance(waveform, Tensor) else waveform
    if samples.ndim == 0 or samples.size == 0 or samples.size != samples.shape[-1]:
        raise AudioError(path, f"waveform has shape {samples.shape}, expected (T,), one channel")
    if not np.issubdtype(samples.dtype, np.floating):
        raise AudioError(path, f"waveform is {samples.dtype}, expected float in [-1, 1]")
    if not np.isfinite(samples).all():
        raise AudioError(path, "NaN or infinite samples, not written")
    return samples.reshape(-1)


class _Disk:
    """A file for libsndfile, whose callbacks cannot raise: the first error is kept instead."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write, or say that nothing could be written."""
        try:
            return 0 if self.error else self._file.write(data)
        except OSError as error:
            self.error = error
            return 0

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move; what is buffered is written before."""
        try:
            return self._file.seek(offset, whence)
        except OSError as error:
            self.error = self.error or error
            return -1

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()


@contextmanager
def _disk_errors(file: BinaryIO) -> Iterator[_Disk]:
    """Raise the disk's own error in place of what libsndfile makes of it."""
    disk = _Disk(file)
    try:
        yield disk
    finally:
        if disk.error:
            raise disk.error
