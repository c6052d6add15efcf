"""The utterances of an evaluation: of prepared data, or of any folder of audio."""

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
    """What is evaluated on.

    Args:
        utterances: dithered waveforms with their log-mel.
        mel: their convention.
        source: where they come from, in words.
        skipped: files left out, and why.
        files: those that were read; none of prepared data.
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
        dump: prepared data.
        mel: the models' convention; None accepts the data's.
        split: "val" or "test".
        limit: at most so many, the first by name; None for all.
        device: where to put them.
        speakers: whom the models are told of.
        pitch: the pitch they are given.
        every: as `held_out`'s.
    Raises:
        FeatureMismatch: if the convention differs.
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
    """Load the audio files of a folder, cut to whole frames, as `prepare` does.

    Args:
        folder: searched for audio files, subfolders included.
        mel: the convention.
        limit: at most so many usable ones, the first by name; None for all.
        device: where to put them.
        speakers: whom the models are told of.
        speaker: the one to be taken for who speaks.
        pitch: the pitch that the models are given.
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
        name = relative.as_posix() if name in utterances else name  # a.wav beside a.flac
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

    Its log-mel is cut, too, not computed anew: the last frame has seen what follows.
    """
    frames = max(1, round(max_seconds * mel.frames_per_second))
    return Utterance(
        utterance.name,
        utterance.waveform[..., : frames * mel.hop_length],
        utterance.log_mel[..., :frames],
    )
