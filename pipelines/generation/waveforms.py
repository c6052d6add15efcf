"""Waveforms from a trained model: from recordings by way of their mel, or from saved mels."""

import math
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from data import (
    MelConfig,
    PitchConfig,
    check_pitch_rows,
    find_audio_files,
    pitch_rows,
    read_waveform,
    with_pitch,
    with_speaker,
    write_blocks,
    write_pcm,
)
from flows import Engine
from pipelines.generation.long_audio import log_mel_in_pieces
from pipelines.precision import PrecisionName, networks_in
from pipelines.workspace import load_model, mel_of, pick_device, pitch_of, speakers_known
from storage.arrays import ArrayError, open_array
from storage.folder_lock import folder_lock
from teacher import Teacher

FRAMES_PER_PIECE = 1024
"""Mel frames of a recording computed at once: 16 s at 16 kHz and a hop of 256."""

STREAMED_FRAMES = 8
"""Frames that a student draws before it writes them: 128 ms at 16 kHz and a hop of 256."""

LARGEST_SHIFT = 24
"""Semitones, either way."""

STANDARD_OUTPUT = Path("-")


class InputError(ValueError):
    """An input that cannot be vocoded; the message names the file and what is wrong."""


@dataclass(frozen=True, kw_only=True)
class Generated:
    """One file written."""

    source: Path
    path: Path
    seconds: float
    num_clipped: int


def generate(
    model: Path,
    input: Path,
    out: Path,
    *,
    format: Literal["wav", "flac"] = "wav",
    seed: int = 0,
    temperature: float = 1.0,
    max_seconds: float | None = None,
    device: str = "auto",
    engine: Engine = "auto",
    precision: PrecisionName = "32-true",
    stream: bool = False,
    speaker: str | None = None,
    pitch_shift: float = 0.0,
) -> list[Generated]:
    """Generate a waveform for every input.

    Args:
        model: folder of a teacher or a student, or the name of a pretrained one.
        input: an audio file, a log-mel `.npy` of shape (num_mels, L) in the model's convention, or
            a folder of either. For a model that is given the pitch, an array has two rows more, see
            `data.pitch_rows`.
        out: folder that gets one file per input; relative names are kept. "-" streams one input to
            standard output, and messages go to standard error.
        format: of the files, 16-bit.
        seed: of the noise; each file's depends on the seed and its name alone.
        temperature: factor on the noise.
        max_seconds: cut inputs to this length.
        device: "auto", "cpu" or "cuda".
        engine: how to sample: "compiled" on a CPU, "fused" (student), "graph" or "persistent"
            (teacher) on a GPU, "torch", or "auto": the first of them that applies, "persistent"
            left out.
        precision: "auto", "32-true", "bf16-mixed" (networks in bfloat16) or "16-mixed" (see
            `pipelines.precision`).
        stream: write raw 16-bit little-endian PCM (`.raw` instead of `format`) as it is drawn. The
            samples are those of a file, to rounding.
        speaker: who speaks, for a model that is told.
        pitch_shift: semitones added to the pitch, for a model that is given it.
    Returns:
        what was written, in order.
    Raises:
        ValueError: if the model or an input cannot be used, or another run is writing to `out`;
            files already written stay.
    """
    to_stdout = out == STANDARD_OUTPUT
    stream = stream or to_stdout
    if to_stdout and input.is_dir():
        raise InputError(f"{input}: is a folder, but one input goes to standard output")
    messages = sys.stderr if to_stdout else sys.stdout
    network = load_model(model, pick_device(device))
    mel, speakers = mel_of(network, model), speakers_known(network, model)
    pitch = pitch_of(network, model)
    _check_shift(pitch_shift, pitch)
    sources = _sources(input)
    if not 0.0 <= temperature < math.inf:
        raise InputError(f"temperature is {temperature}, expected a finite number >= 0")
    written: list[Generated] = []
    with networks_in(precision, network):
        print(f"{network.kind}: {network.choose_engine(engine)[1]}", file=messages)
    with ExitStack() as held:
        for source in tqdm(sources, desc="generate", unit="file", disable=len(sources) < 2):
            frames = _frames(source, mel, pitch, pitch_shift, max_seconds)
            name = source.relative_to(input) if input.is_dir() else Path(source.name)
            generator = torch.Generator(next(network.parameters()).device).manual_seed(
                _seed_of(seed, name.as_posix())
            )
            features = with_speaker(torch.from_numpy(frames)[None], speakers, speaker)
            features = features.to(next(network.parameters()))
            pieces = (
                network.stream(features, temperature, generator, engine)
                if isinstance(network, Teacher)
                else network.stream(
                    features.split(STREAMED_FRAMES if stream else frames.shape[1], -1),
                    temperature,
                    generator,
                    engine,
                )
            )
            total = frames.shape[1] * mel.hop_length
            if not written and not to_stdout:  # a first input that is bad leaves no folder behind
                held.enter_context(folder_lock(out))
            target = (
                out if to_stdout else out / name.with_suffix(".raw" if stream else f".{format}")
            )
            bar = tqdm(total=total, desc=name.name, unit="sample", leave=False)
            with bar, networks_in(precision, network):  # what is drawn, not how mels are made
                counted = _counted(pieces, bar)
                if stream:
                    num_samples, num_clipped = _write_raw(target, counted)
                else:
                    num_samples, num_clipped = write_blocks(target, counted, mel.sample_rate)
            if num_clipped:
                tqdm.write(
                    f"warning: {target}: {num_clipped} of {num_samples} samples were clipped",
                    file=messages,
                )
            seconds = num_samples / mel.sample_rate
            written.append(
                Generated(source=source, path=target, seconds=seconds, num_clipped=num_clipped)
            )
    return written


def _write_raw(target: Path, pieces: Iterator[Tensor]) -> tuple[int, int]:
    """Write PCM that can be read while it grows; return the samples and how many were clipped."""
    if target == STANDARD_OUTPUT:
        return write_pcm(sys.stdout.buffer, pieces, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        return write_pcm(file, pieces, target)


def _counted(pieces: Iterator[Tensor], bar: tqdm) -> Iterator[Tensor]:
    """Move a progress bar on by each piece's samples."""
    for piece in pieces:
        yield piece
        bar.update(piece.shape[-1])


def _sources(input: Path) -> list[Path]:
    if input.is_dir():
        sources = sorted([*find_audio_files(input), *input.rglob("*.npy")])
        if not sources:
            raise InputError(f"{input}: no audio file and no .npy in this folder")
        for first, second in pairwise(sorted(sources, key=lambda source: source.with_suffix(""))):
            if first.with_suffix("") == second.with_suffix(""):
                raise InputError(f"{second}: would get the same name as {first}")
        return sources
    if not input.exists():
        raise InputError(f"{input}: no such file or folder")
    return [input]


def _check_shift(semitones: float, pitch: PitchConfig) -> None:
    if semitones and not pitch.num_rows:
        raise InputError(
            f"pitch_shift is {semitones}, expected 0: the model is not given the pitch"
        )
    if not abs(semitones) <= LARGEST_SHIFT:
        raise InputError(
            f"pitch_shift is {semitones}, expected -{LARGEST_SHIFT} to {LARGEST_SHIFT} semitones"
        )


def _frames(
    source: Path,
    config: MelConfig,
    pitch: PitchConfig,
    pitch_shift: float,
    max_seconds: float | None,
) -> np.ndarray:
    """Log-mel frames, and rows of pitch, of a recording or a saved array, float32 (rows, L)."""
    if source.suffix == ".npy":
        frames = _read_frames(source, config, pitch)
    else:
        waveform = read_waveform(source, config.sample_rate)
        short = -len(waveform) % config.hop_length
        padded = np.pad(waveform, (0, short))
        frames = log_mel_in_pieces(padded, config, frames_per_piece=FRAMES_PER_PIECE)
        batch = torch.from_numpy(frames)[None], torch.from_numpy(padded)[None, None]
        frames = with_pitch(*batch, config, pitch)[0].numpy()
    if pitch.num_rows:
        frames[config.num_mels] += pitch_shift / 12
        _check_pitch(source, frames, config)
    if max_seconds is not None:
        frames = frames[:, : max(1, round(max_seconds * config.sample_rate / config.hop_length))]
    return frames


def _read_frames(source: Path, config: MelConfig, pitch: PitchConfig) -> np.ndarray:
    try:
        frames = open_array(source)
    except ArrayError as error:
        raise InputError(str(error)) from error
    if frames.dtype.kind != "f":
        raise InputError(f"{source}: holds {frames.dtype}, expected floats")
    num_rows = config.num_mels + pitch.num_rows
    if frames.ndim != 2 or frames.shape[0] != num_rows or frames.shape[1] == 0:
        below = " and below them two rows, pitch (log2 of Hz) and voicing (0 or 1)"
        raise InputError(
            f"{source}: has shape {frames.shape}, expected ({num_rows}, L): {config.num_mels} "
            f"log-mel bands{below if pitch.num_rows else ''}"
        )
    if not np.isfinite(frames).all():
        raise InputError(f"{source}: holds values that are not finite")
    frames = frames.astype(np.float32)
    if pitch.num_rows:
        _check_pitch(source, frames, config)
        rows = torch.from_numpy(frames[config.num_mels :])
        rows.copy_(pitch_rows(rows[:1], rows[1:], pitch)[0])
    return frames


def _check_pitch(source: Path, frames: np.ndarray, config: MelConfig) -> None:
    try:
        check_pitch_rows(torch.from_numpy(frames[config.num_mels :]), config.sample_rate)
    except ValueError as error:
        raise InputError(f"{source}: {error}") from error


def _seed_of(seed: int, name: str) -> int:
    words = np.random.SeedSequence([seed, *name.encode()]).generate_state(2)
    return int(words[0]) << 20 ^ int(words[1])
