"""Audio of 16 bits and one channel: files written whole or not at all, and raw streams."""

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
        path: file name that ends in .wav or .flac.
        waveform: float samples, shape (T,), (1, T) or (1, 1, T); clipped to [-1, 1].
        sample_rate: Hz.
    Returns:
        the number of samples that were clipped, for the caller's warning.
    Raises:
        AudioError: if the suffix, shape or type is not supported, or if samples are missing or not
            finite.
    """
    return write_blocks(path, [waveform], sample_rate)[1]


def write_blocks(
    path: Path, blocks: Iterable[npt.NDArray[Any] | Tensor], sample_rate: int
) -> tuple[int, int]:
    """Write a file as `write_waveform` does, from blocks that need not fit in memory together.

    Args:
        path: file name that ends in .wav or .flac.
        blocks: one or more blocks, each as `write_waveform` accepts it.
        sample_rate: Hz.
    Returns:
        the number of samples, and the number of samples that were clipped.
    Raises:
        AudioError: as for `write_waveform`; nothing is written.
        OSError: if the disk is full or fails; nothing is written.
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
    """Write raw 16-bit little-endian PCM, and flush each block as soon as it arrives.

    Args:
        file: stream open for writing; written blocks stay even if a later block fails.
        blocks: one or more blocks, each as `write_waveform` accepts it.
        path: the stream's name in messages.
    Returns:
        the number of samples, and the number of samples that were clipped.
    Raises:
        AudioError: if `write_waveform` refuses the shape or type, or if samples are not finite.
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
    """A file for libsndfile, whose callbacks cannot raise; the first error is kept instead."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write, and return the number of bytes written, 0 after an error."""
        try:
            return 0 if self.error else self._file.write(data)
        except OSError as error:
            self.error = error
            return 0

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a position, and return it; -1 after an error. The buffer is written before."""
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
    """Raise the disk's own error instead of libsndfile's."""
    disk = _Disk(file)
    try:
        yield disk
    finally:
        if disk.error:
            raise disk.error
