"""Training segments: pieces of waveform with their frames, determined by a seed and a step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data.prepared.dither import dither
from data.prepared.manifest import Manifest
from data.prepared.split import Split
from data.prepared.utterances import UtteranceSet
from dsp.pitch import NO_PITCH, PitchConfig


@dataclass(frozen=True)
class Batch:
    """Aligned pieces of waveform and log-mel.

    Args:
        waveform: shape (B, 1, segment_frames · hop_length), float32 in [-1, 1].
        log_mel: shape (B, num_mels, segment_frames + 2 · margin_frames). Frame margin_frames covers
            the first hop_length samples. If models are given pitch or speakers, rows of pitch and
            voicing follow the bands, and then a row for each speaker.
        first_row: index of the first piece in the step's whole batch, if this batch is a part.
    """

    waveform: Tensor
    log_mel: Tensor
    first_row: int = 0

    def to(self, device: torch.device | str) -> Batch:
        """Move both tensors to a device; for a GPU, without waiting for the copy."""
        both = [self.waveform, self.log_mel]
        if torch.device(device).type == "cuda":
            both = [tensor.pin_memory() for tensor in both]
        waveform, log_mel = (tensor.to(device, non_blocking=True) for tensor in both)
        return Batch(waveform, log_mel, self.first_row)


class SegmentSampler:
    """Random segments, aligned to frames, and entirely determined by the seed and the step.

    An utterance is drawn with a probability proportional to its length. All segments of the drawn
    utterance are equally likely. An utterance shorter than a segment is followed by silence.

    Args:
        source: a manifest, or its dump folder.
        split: "train", "val" or "test".
        batch_size: B.
        segment_frames: length of a segment in frames.
        margin_frames: additional log-mel frames on both sides, for a context network that sees
            the neighbours.
        seed: determines the batches, together with the step.
        with_dither: whether to add `dither` to the waveform.
        part: number of this process's part of each batch, from 0, if several processes share it.
        num_parts: number of parts; together they are the batch of a single process.
        speakers: see `UtteranceSet`.
        pitch: see `UtteranceSet`.
    Raises:
        DataError: if the split is empty.
        ValueError: if a count is impossible, or if the batch cannot be shared equally.
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
        self._ends = np.cumsum([u.num_frames for u in self.utterances.utterances])

    def batch(self, step: int) -> Batch:
        """Draw the batch of one step, or this process's part of it.

        Args:
            step: number of the step, from 0.
        Returns:
            the batch's `rows`, on the CPU.
        Raises:
            DataError: if an utterance's files are missing or differ from the manifest.
        """
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, step])))
        # Each position is a frame of the whole split, so longer utterances are drawn more often.
        positions = rng.integers(self._ends[-1], size=self.batch_size)
        chosen = [
            (int(index), self._start(int(index), rng))
            for index in np.searchsorted(self._ends, positions, side="right")
        ]
        pieces = [
            self.utterances.cut(*chosen[row], self.segment_frames, self.margin_frames)
            for row in self.rows
        ]
        waveform = torch.stack([piece[0] for piece in pieces])
        log_mel = torch.stack([piece[1] for piece in pieces])
        if self.with_dither:
            # Skip the noise of the rows before this part; each number takes one draw.
            rng.bit_generator.random_raw(self.rows.start * waveform[0].numel(), output=False)
            waveform = dither(waveform, rng)
        return Batch(waveform, log_mel, self.rows.start)

    def iterate(self, first_step: int, last_step: int, num_prefetch: int = 2) -> Iterator[Batch]:
        """Yield the batches of steps first_step, …, last_step − 1, which a thread reads ahead.

        Args:
            first_step: first step.
            last_step: the step to stop before.
            num_prefetch: number of batches read ahead; 0 reads each batch when it is asked for.
        Returns:
            an iterator over the batches; it raises an error of the thread at the error's step.
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
