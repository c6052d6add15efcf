"""Prepared utterances, read whole or in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from data.audio.read import from_int16
from data.prepared.manifest import DataError, Manifest
from data.prepared.speakers import speaker_of, with_speaker
from data.prepared.split import Split
from dsp.mel import silent_frame
from dsp.pitch import NO_PITCH, PitchConfig
from storage.arrays import ArrayError, check_digest, open_array


class UtteranceSet:
    """The prepared utterances of one split, read from memory-mapped files.

    Args:
        source: a manifest, or its dump folder.
        split: "train", "val" or "test".
        speakers: the known speakers; each has a row below the bands and the pitch, see
            `with_speaker`. Utterances of other speakers are left out.
        pitch: the wanted rows of pitch and voicing, see `with_pitch`; the kind "none" has no rows.
    Raises:
        DataError: if the split is empty, or if the pitch was not prepared with this configuration.
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
        utterances = self.manifest.utterances(split)
        if self.speakers:
            utterances = [x for x in utterances if speaker_of(x.name) in self.speakers]
        self.utterances = utterances
        if not self.utterances:
            known = f" of {', '.join(self.speakers)}" if self.speakers else ""
            raise DataError(f"{self.manifest.dump_dir}: no utterances{known} to {split} on")
        self._intact: set[Path] = set()

    def __len__(self) -> int:
        return len(self.utterances)

    def load(self, index: int) -> tuple[Tensor, Tensor]:
        """Read a whole utterance.

        Args:
            index: index of the utterance in `utterances`.
        Returns:
            waveform, shape (1, T), float32 in [-1, 1), not dithered; log-mel, shape (num_mels, L),
            followed by the rows of pitch and speakers.
        Raises:
            DataError: if the utterance's files are missing or differ from the manifest.
        """
        return self.cut(index, 0, self.utterances[index].num_frames)

    def cut(
        self, index: int, start: int, num_frames: int, margin_frames: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Read a piece of an utterance.

        Beyond the utterance's end, the waveform is zero and the log-mel is unvoiced digital
        silence. The margins are the neighbouring frames; at an end of the utterance they repeat
        its outermost frame.

        Args:
            index: index of the utterance in `utterances`.
            start: first frame.
            num_frames: length in frames.
            margin_frames: additional log-mel frames on both sides.
        Returns:
            waveform, shape (1, num_frames · hop_length); log-mel, shape
            (num_mels, num_frames + 2 · margin_frames), followed by the rows of pitch and speakers;
            both are float32.
        Raises:
            DataError: if the utterance's files are missing or differ from the manifest.
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
        rows[: mel.num_mels, wanted >= total] = silent_frame(mel).numpy()[:, None]
        rows[mel.num_mels + 1 :, wanted >= total] = 0  # the voicing; the pitch goes on
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
        """Memory-map an array and check it against the manifest; the digest only the first time."""
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
