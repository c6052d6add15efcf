"""The utterances of an evaluation, from prepared data or from a folder of audio."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from data import (
    NO_PITCH,
    AudioError,
    Manifest,
    MelConfig,
    PitchConfig,
    Split,
    dither,
    from_int16,
    log_mel,
    read_waveform,
    search_audio,
    to_int16,
    with_pitch,
    with_speaker,
)
from pipelines.generation.input_errors import InputError
from pipelines.heldout import Utterance
from pipelines.workspace import held_out


@dataclass(frozen=True, kw_only=True)
class Recordings:
    """The utterances of an evaluation, and their source.

    Args:
        utterances: dithered waveforms with their log-mel.
        mel: convention of the log-mel.
        source: a description of the source.
        skipped: reasons by file, for files that were left out.
        files: the audio files that were found; empty for prepared data.
    """

    utterances: list[Utterance]
    mel: MelConfig
    source: str
    skipped: dict[str, str]
    files: tuple[Path, ...] = ()


def prepared_recordings(
    dump: Path,
    mel: MelConfig | None,
    split: Split,
    limit: int | None,
    device: torch.device,
    speakers: Sequence[str] = (),
    pitch: PitchConfig = NO_PITCH,
    every: int = 1,
) -> Recordings:
    """Load a held-out split of prepared data.

    Args:
        dump: folder of prepared data.
        mel: the models' convention; None accepts the data's convention.
        split: "val" or "test".
        limit: largest number of utterances, the first by name; None for all.
        device: device of the utterances.
        speakers: the speakers that the models know.
        pitch: the pitch rows that the models are given.
        every: see `held_out`.
    Raises:
        FeatureMismatch: if the data's convention differs from `mel`.
        DataError: if the data cannot be used.
    """
    manifest = Manifest.load(dump)
    if mel is not None:
        mel.check_same(manifest.mel, str(dump))
    return Recordings(
        utterances=held_out(manifest, split, limit, device, speakers, pitch, every),
        mel=manifest.mel,
        source=f"{split} split of {dump}",
        skipped={},
    )


def recordings_in(
    folder: Path,
    mel: MelConfig,
    limit: int | None,
    device: torch.device,
    speakers: Sequence[str] = (),
    speaker: str | None = None,
    pitch: PitchConfig = NO_PITCH,
) -> Recordings:
    """Load the audio files of a folder, cut to whole frames as `prepare` cuts them.

    Args:
        folder: folder that is searched, with its subfolders, for audio files.
        mel: convention of the log-mel.
        limit: largest number of usable files, the first by name; None for all.
        device: device of the utterances.
        speakers: the speakers that the models know.
        speaker: the one of `speakers` that is given to the models.
        pitch: the pitch rows that the models are given.
    Returns:
        utterances named by their paths relative to the folder, and the files that could not be
        used.
    Raises:
        InputError: if no file can be used.
        DataError: if the speaker is not one of `speakers`.
    """
    utterances: dict[str, Utterance] = {}
    found = search_audio(folder)
    skipped = {str(folder / name): reason for name, reason in found.left_out.items()}
    for path in found.files:
        if limit is not None and len(utterances) == limit:
            break
        try:
            waveform = read_waveform(path, mel.sample_rate)
            samples = waveform[: len(waveform) // mel.hop_length * mel.hop_length]
            if samples.size == 0:
                raise AudioError(path, f"shorter than one frame of {mel.hop_length} samples")
        except AudioError as error:
            skipped[str(path)] = error.reason
            continue
        exact = torch.from_numpy(from_int16(to_int16(samples)[0]))[None, None]
        dithered = dither(exact, np.random.default_rng(len(utterances)))
        relative = path.relative_to(folder)
        name = relative.with_suffix("").as_posix()
        name = relative.as_posix() if name in utterances else name  # a.flac after a.wav
        frames = with_pitch(log_mel(exact, mel), exact, mel, pitch)
        frames = with_speaker(frames, speakers, speaker)
        utterances[name] = Utterance(name, dithered.to(device), frames.to(device))
    if not utterances:
        first = "".join(f" ({name}: {reason})" for name, reason in [*skipped.items()][:1])
        raise InputError(f"{folder}: no usable audio file{first}")
    return Recordings(
        utterances=list(utterances.values()),
        mel=mel,
        source=f"folder {folder}",
        skipped=skipped,
        files=tuple(found.files),
    )


def cut(utterance: Utterance, max_seconds: float, mel: MelConfig) -> Utterance:
    """Shorten an utterance to whole frames, at least one.

    The log-mel is cut as well, and not computed again: its last frame depends on later samples.
    """
    frames = max(1, round(max_seconds * mel.frames_per_second))
    return Utterance(
        utterance.name,
        utterance.waveform[..., : frames * mel.hop_length],
        utterance.log_mel[..., :frames],
    )
