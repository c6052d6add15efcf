"""Training segments: pieces of waveform with their frames, from a seed and a step alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from data.audio.read import from_int16
from data.prepared.augmentation import LARGEST_GAIN_DB, dither, with_gain
from data.prepared.manifest import DataError, Manifest
from data.prepared.speakers import speaker_of, with_speaker
from data.prepared.split import Split
from dsp.pitch import NO_PITCH, PitchConfig
from storage.arrays import ArrayError, check_digest, open_array


@dataclass(frozen=True)
class Batch:
    """Aligned pieces of waveform and log-mel.

    Args:
        waveform: shape (B, 1, segment_frames · hop_length), float32 in [-1, 1].
        log_mel: shape (B, num_mels, segment_frames + 2 · margin_frames); frame margin_frames is the
            one that covers the first hop_length samples. Below the bands pitch and voicing, and a
            row for each speaker, where models are told of them.
        first_row: place of the first piece in the step's whole batch, of which this may be a part.
    """

    waveform: Tensor
    log_mel: Tensor
    first_row: int = 0

    def to(self, device: torch.device | str) -> Batch:
        """Move both to a device; a GPU's host does not wait for it."""
        both = [self.waveform, self.log_mel]
        if torch.device(device).type == "cuda":
            both = [tensor.pin_memory() for tensor in both]
        waveform, log_mel = (tensor.to(device, non_blocking=True) for tensor in both)
        return Batch(waveform, log_mel, self.first_row)


class UtteranceSet:
    """The prepared utterances of one split, read from memory-mapped files.

    Args:
        source: a manifest, or its dump folder.
        split: "train", "val" or "test".
        speakers: add a row for each to the log-mel, see `with_speaker`; none adds none.
        pitch: what lies between the two, see `with_pitch`; of kind "none" it is left out.
    Raises:
        DataError: if the split is empty, or another pitch was prepared, or none.
    """

    def __init__(
        self,
        source: Manifest | Path,
        split: Split,
        speakers: Sequence[str] = (),
        pitch: PitchConfig = NO_PITCH,
    ) -> None:
        self.speakers = tuple(speakers)
        self.manifest = source if isinstance(source, Manifest) else Manifest.load(source)
        self.manifest.check_pitch(pitch)
        self.num_rows = self.manifest.mel.num_mels + pitch.num_rows
        self.utterances = self.manifest.utterances(split)
        if not self.utterances:
            raise DataError(f"{self.manifest.dump_dir}: no utterances to {split} on")
        self._intact: set[Path] = set()

    def __len__(self) -> int:
        return len(self.utterances)

    def load(self, index: int) -> tuple[Tensor, Tensor]:
        """Read a whole utterance.

        Args:
            index: its place in `utterances`.
        Returns:
            Waveform, shape (1, T), float32 in [-1, 1), not dithered; log-mel, shape (num_mels, L),
            and below it the rows of pitch and speakers.
        Raises:
            DataError: if its files are missing or not what the manifest says.
        """
        return self.cut(index, 0, self.utterances[index].num_frames)

    def cut(
        self, index: int, start: int, num_frames: int, margin_frames: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Read a piece of an utterance.

        Beyond the utterance's end the waveform is zero and the log-mel that of digital silence,
        unvoiced.
        The margins are the true neighbouring frames, and repeat the outermost frame where there is
        none.

        Args:
            index: place of the utterance in `utterances`.
            start: first frame.
            num_frames: length in frames.
            margin_frames: additional log-mel frames on both sides.
        Returns:
            Waveform, shape (1, num_frames · hop_length); log-mel, shape
            (num_mels, num_frames + 2 · margin_frames), and below it the rows of pitch and speakers;
            both float32.
        Raises:
            DataError: if the utterance's files are missing or not what the manifest says.
        """
        hop, mel = self.manifest.mel.hop_length, self.manifest.mel
        total = self.utterances[index].num_frames
        samples, frames = self._open(index)
        waveform = np.zeros((1, num_frames * hop), dtype=np.float32)
        piece = samples[start * hop : (start + num_frames) * hop]
        waveform[0, : len(piece)] = from_int16(piece)
        # Frames of the segment past the utterance's end are silence; margins then repeat silence.
        end = max(total, start + num_frames)
        wanted = np.arange(start - margin_frames, start + num_frames + margin_frames)
        wanted = wanted.clip(0, end - 1)
        rows = frames[: self.num_rows, wanted.clip(max=total - 1)]
        rows[: mel.num_mels, wanted >= total] = mel.silence
        rows[mel.num_mels + 1 :, wanted >= total] = 0  # the voicing; the pitch stays what it was
        speaker = speaker_of(self.utterances[index].name) if self.speakers else None
        features = with_speaker(torch.from_numpy(rows), self.speakers, speaker)
        return torch.from_numpy(waveform), features

    def _open(self, index: int) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.float32]]:
        # Opened anew each time: a map held open for every utterance would exhaust the file
        # descriptors of a process on a large corpus.
        utterance, mel = self.utterances[index], self.manifest.mel
        samples = self._map(
            self.manifest.waveform_path(utterance.name),
            utterance.waveform_sha256,
            np.dtype(np.int16),
            (utterance.num_frames * mel.hop_length,),
        )
        frames = self._map(
            self.manifest.mel_path(utterance.name),
            utterance.mel_sha256,
            np.dtype(np.float32),
            (mel.num_mels + self.manifest.pitch.num_rows, utterance.num_frames),
        )
        return samples, frames

    def _map(
        self, path: Path, sha256: str, dtype: np.dtype[Any], shape: tuple[int, ...]
    ) -> npt.NDArray[Any]:
        """Memory-map an array and check it against the manifest, its digest the first time."""
        try:
            if sha256 and path not in self._intact:
                check_digest(path, sha256)
                self._intact.add(path)
            array = open_array(path)
        except ArrayError as error:
            raise DataError(f"{error}; remove it and run prepare again") from error
        if array.dtype != dtype or array.shape != shape:
            raise DataError(
                f"{path}: {array.dtype} of shape {array.shape}, expected {dtype} of shape {shape}; "
                "run prepare again"
            )
        return array


class SegmentSampler:
    """Random segments, aligned to frames, entirely determined by the seed and the step.

    Every segment of the split is as likely as any other, up to the ends of utterances. An
    utterance shorter than a segment is followed by silence.

    Args:
        source: a manifest, or its dump folder.
        split: "train", "val" or "test".
        batch_size: B.
        segment_frames: length of a segment in frames.
        margin_frames: additional log-mel frames on both sides, for a context network that sees
            the neighbours.
        seed: with the step, the only source of randomness.
        with_dither: add `dither` to the waveform.
        gain_db: largest change of a segment's level, either way: the waveform is scaled and the
            log-mel shifted by it. A waveform stays within [-1, 1].
        part: which part of each batch to read, from 0, where several processes share it.
        num_parts: how many parts there are; together they are the batch of a single process.
        speakers: as `UtteranceSet`'s.
        pitch: likewise.
    Raises:
        DataError: if the split is empty.
        ValueError: if a count is impossible, or the batch cannot be shared equally.
    """

    def __init__(
        self,
        source: Manifest | Path,
        split: Split = "train",
        *,
        batch_size: int,
        segment_frames: int,
        margin_frames: int = 0,
        seed: int = 0,
        with_dither: bool = True,
        gain_db: float = 0.0,
        part: int = 0,
        num_parts: int = 1,
        speakers: Sequence[str] = (),
        pitch: PitchConfig = NO_PITCH,
    ) -> None:
        lower_limits = {"batch_size": 1, "segment_frames": 1, "margin_frames": 0, "seed": 0}
        found = (batch_size, segment_frames, margin_frames, seed)
        for (name, limit), value in zip(lower_limits.items(), found, strict=True):
            if value < limit:
                raise ValueError(f"{name} is {value!r}, expected >= {limit}")
        if not 0 <= part < num_parts:
            raise ValueError(f"part is {part!r}, expected 0 to {num_parts - 1}")
        if batch_size % num_parts:
            raise ValueError(f"batch_size is {batch_size}, expected a multiple of {num_parts}")
        self.utterances = UtteranceSet(source, split, speakers, pitch)
        self.batch_size = batch_size
        size = batch_size // num_parts
        self.rows = range(part * size, (part + 1) * size)
        self.segment_frames = segment_frames
        self.margin_frames = margin_frames
        self.seed = seed
        self.with_dither = with_dither
        if not 0 <= gain_db <= LARGEST_GAIN_DB:
            raise ValueError(f"gain_db is {gain_db!r}, expected 0 to {LARGEST_GAIN_DB}")
        self.gain_db = gain_db
        self._ends = np.cumsum([u.num_frames for u in self.utterances.utterances])

    def batch(self, step: int) -> Batch:
        """Draw the batch of one step, or this part of it.

        Args:
            step: number of the step, from 0.
        Returns:
            The batch's `rows`, on the CPU.
        Raises:
            DataError: if an utterance's files are missing or not what the manifest says.
        """
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, step])))
        # A frame of the whole split: utterances come in proportion to their length.
        positions = rng.integers(self._ends[-1], size=self.batch_size)
        chosen = [
            (int(index), self._start(int(index), rng))
            for index in np.searchsorted(self._ends, positions, side="right")
        ]
        gains_db = rng.uniform(-1, 1, self.batch_size) * self.gain_db if self.gain_db else None
        pieces = [
            self.utterances.cut(*chosen[row], self.segment_frames, self.margin_frames)
            for row in self.rows
        ]
        if gains_db is not None:
            mel = self.utterances.manifest.mel
            pieces = [
                with_gain(*piece, float(gains_db[row]), mel)
                for row, piece in zip(self.rows, pieces, strict=True)
            ]
        waveform = torch.stack([piece[0] for piece in pieces])
        log_mel = torch.stack([piece[1] for piece in pieces])
        if self.with_dither:
            # The noise of the rows before; each number takes one draw.
            rng.bit_generator.random_raw(self.rows.start * waveform[0].numel(), output=False)
            waveform = dither(waveform, rng)
        return Batch(waveform, log_mel, self.rows.start)

    def iterate(self, first_step: int, last_step: int, num_prefetch: int = 2) -> Iterator[Batch]:
        """Yield the batches of steps first_step, …, last_step − 1, read ahead by a thread.

        Args:
            first_step: first step.
            last_step: the step to stop before.
            num_prefetch: batches read ahead; 0 reads each when it is asked for.
        Returns:
            An iterator over the batches; an error in the thread is raised at its own step.
        """
        if num_prefetch == 0:
            yield from map(self.batch, range(first_step, last_step))
            return
        ahead: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="segments") as thread:
            for step in range(first_step, last_step):
                ahead.append(thread.submit(self.batch, step))
                if len(ahead) > num_prefetch:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def _start(self, index: int, rng: np.random.Generator) -> int:
        """Draw the first frame of a segment of an utterance."""
        num_frames = self.utterances.utterances[index].num_frames
        return int(rng.integers(max(num_frames - self.segment_frames, 0) + 1))
