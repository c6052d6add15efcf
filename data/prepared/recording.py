"""The preparation of one recording: its file of samples and its file of frames."""

from __future__ import annotations

import errno
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from data.audio.decoding import FloatArray
from data.audio.read import AudioError, from_int16, read_waveform, to_int16
from data.mel_files import MelFileError, find_mel_file
from data.prepared.given_mels import COMPUTED, MelSource, mel_beside, read_given
from data.prepared.manifest import FORMAT_VERSION, check_name, mel_path, waveform_path
from dsp.mel import MelConfig, log_mel
from dsp.pitch import PitchConfig, with_pitch
from storage.arrays import write_array

READER_VERSION = 2
"""Version of the audio reader. The number rises when the reader learns to read more files."""


@dataclass(frozen=True, kw_only=True)
class PrepareTask:
    """The preparation of one utterance.

    Args:
        name: the utterance's name: its path relative to the corpus folder, without suffix.
        sources: the recording, then other files that differ from it only in the suffix. The first
            usable file is prepared.
        dump_dir: folder to write into.
        mel: the convention of the log-mel.
        pitch: the rows below the bands.
        min_seconds: duration of the shortest recording accepted, seconds.
        mels: source of the log-mel.
    """

    name: str
    sources: tuple[Path, ...]
    dump_dir: Path
    mel: MelConfig
    pitch: PitchConfig
    min_seconds: float
    mels: MelSource = COMPUTED

    def key(self) -> str:
        """Return a text that changes with the sources and the settings, without reading a source.

        Name, size and time of a source stand for its content.
        """
        source, *others = self.sources
        # With a single source and no pitch, the key equals the key of earlier versions.
        settings = [FORMAT_VERSION, str(source), self.min_seconds, asdict(self.mel)]
        if self.pitch.num_rows:
            settings.append(asdict(self.pitch))
        if self.mels.kind == "files":
            given = mel_beside(source)
            settings += [asdict(self.mels), str(given), _stamp(given) if given else "none"]
        settings += [[str(path), _stamp(path)] for path in others]
        digest = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
        return f"{_stamp(source)} {digest[:16]}"

    def refused_key(self) -> str:
        """Return the key of a task whose sources cannot be used: `key` and the reader's version.

        So the task is tried again once the reader can read more files.
        """
        return f"{self.key()} reader {READER_VERSION}"

    def outputs(self) -> str:
        """Return a text that changes with the sizes and times of the prepared files."""
        paths = (waveform_path(self.dump_dir, self.name), mel_path(self.dump_dir, self.name))
        return " ".join(_stamp(path) for path in paths)


@dataclass(frozen=True, kw_only=True)
class Record:
    """The outcome of one utterance's preparation.

    Args:
        name: the utterance's name.
        key: `PrepareTask.key` at the time of the preparation; `PrepareTask.refused_key` if the
            utterance was skipped.
        outputs: `PrepareTask.outputs` after the preparation.
        problem: reason why the utterance was skipped; empty if it was prepared.
        failed: a reason for each source that could not be used, before one was prepared; empty in
            journals of earlier versions.
        sha256: checksum of the source that was prepared, and of its log-mel's file if one was read.
        waveform_sha256: checksum of the file of samples.
        mel_sha256: checksum of the file of frames.
        num_frames: L.
        num_clipped: number of samples beyond [-1, 1].
    """

    name: str
    key: str
    outputs: str = ""
    problem: str = ""
    sha256: str = ""
    waveform_sha256: str = ""
    mel_sha256: str = ""
    num_frames: int = 0
    num_clipped: int = 0
    failed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.name)

    def is_current(self, task: PrepareTask) -> bool:
        """Whether the record is up to date: preparing the utterance again would change nothing."""
        if self.key != (task.refused_key() if self.problem else task.key()):
            return False
        # Journals of earlier versions hold no checksums.
        return bool(self.problem) or (bool(self.mel_sha256) and self.outputs == task.outputs())


def make_utterance(task: PrepareTask) -> Record:
    """Read, quantise and analyse one utterance, and write its two files.

    Args:
        task: the utterance and the settings.
    Returns:
        the outcome; without a usable source, a record with a `problem` instead of an exception.
    Raises:
        OSError: if the outputs cannot be written.
    """
    key = task.key()
    failed: list[str] = []
    for source in task.sources:
        try:
            features = _read_features(source, task)
            break
        except AudioError as error:
            failed.append(error.reason)
        except MelFileError as error:
            failed.append(f"{error.path.name} {error.reason}")
    else:
        return _refused(task, failed)
    try:
        waveform_sha256 = write_array(waveform_path(task.dump_dir, task.name), features.samples)
        mel_sha256 = write_array(mel_path(task.dump_dir, task.name), features.frames)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:  # a full disk, say, which stops all recordings
            raise
        return _refused(task, [*failed, "its name is too long for a file of features"])
    return Record(
        name=task.name,
        key=key,
        outputs=task.outputs(),
        waveform_sha256=waveform_sha256,
        mel_sha256=mel_sha256,
        sha256=_digest(source, *features.others),
        num_frames=features.frames.shape[1],
        num_clipped=features.num_clipped,
        failed=tuple(failed),
    )


def _refused(task: PrepareTask, failed: list[str]) -> Record:
    """Return the record of an utterance without a usable source, given a reason for each source."""
    return Record(name=task.name, key=task.refused_key(), problem=failed[0], failed=tuple(failed))


@dataclass(frozen=True, kw_only=True)
class _Features:
    """The content of a recording's two prepared files.

    Args:
        samples: samples, int16, shape (T,).
        frames: log-mel bands, then the rows of pitch, float32, shape (rows, L).
        num_clipped: samples that lay beyond [-1, 1].
        others: files that were read beside the recording.
    """

    samples: npt.NDArray[np.int16]
    frames: FloatArray
    num_clipped: int
    others: tuple[Path, ...] = ()


def _read_features(source: Path, task: PrepareTask) -> _Features:
    others: tuple[Path, ...] = ()
    if task.mels.kind == "files":
        others = (find_mel_file(source),)
        waveform = read_waveform(source, task.mel.sample_rate, min_seconds=task.min_seconds)
        waveform, given = read_given(others[0], waveform, task.mel, task.mels)
    else:
        waveform = _read_whole_frames(source, task)
    samples, num_clipped = to_int16(waveform)
    # The log-mel of the stored samples, so that the two files agree to the last bit.
    exact = torch.from_numpy(from_int16(samples))[None, None]
    bands = torch.from_numpy(given)[None] if others else log_mel(exact, task.mel)
    frames = with_pitch(bands, exact, task.mel, task.pitch)[0].numpy()
    return _Features(samples=samples, frames=frames, num_clipped=num_clipped, others=others)


def _read_whole_frames(source: Path, task: PrepareTask) -> FloatArray:
    """Read a recording up to the end of its last whole frame."""
    waveform = read_waveform(source, task.mel.sample_rate, min_seconds=task.min_seconds)
    hop = task.mel.hop_length
    if len(waveform) < hop:
        raise AudioError(source, f"shorter than one frame of {hop} samples")
    return waveform[: len(waveform) // hop * hop]


def _digest(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return "none"
    return f"{status.st_size}@{status.st_mtime_ns}"
