"""Waveforms from a trained model: from recordings by way of their mel, or from saved mels."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from tqdm import tqdm

from data import MelConfig, find_audio_files, log_mel, read_waveform, write_waveform
from data.arrays import ArrayError, open_array
from flows import Engine, choose_engine
from pipelines.workspace import load_model, mel_of, pick_device
from teacher import Teacher


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
) -> list[Generated]:
    """Generate a waveform for every input.

    Args:
        model: folder of a teacher or a student.
        input: an audio file, a log-mel `.npy` of shape (num_mels, L) in the model's convention, or
            a folder of either.
        out: folder that gets one file per input; relative names are kept.
        format: of the files, 16-bit.
        seed: of the noise; each file's depends on the seed and its name alone.
        temperature: factor on the noise.
        max_seconds: cut inputs to this length.
        device: "auto", "cpu" or "cuda".
        engine: how a teacher samples: "compiled", "step", or "auto": compiled where it applies.
    Returns:
        what was written, in order.
    Raises:
        ValueError: if the model or an input cannot be used; files already written stay.
    """
    network = load_model(model, pick_device(device))
    mel = mel_of(network, model)
    sources = _sources(input)
    if isinstance(network, Teacher):
        print(f"teacher: {choose_engine(next(network.parameters()), engine)[1]}")
    written = []
    for source in tqdm(sources, desc="generate", unit="file", disable=len(sources) < 2):
        frames = _frames(source, mel, max_seconds)
        name = source.relative_to(input) if input.is_dir() else Path(source.name)
        generator = torch.Generator().manual_seed(_seed_of(seed, name.as_posix()))
        features = torch.from_numpy(frames)[None]
        parameter = next(network.parameters())
        if isinstance(network, Teacher):
            total = frames.shape[1] * mel.hop_length
            with tqdm(total=total, desc=name.name, unit="sample", mininterval=2.0) as bar:
                waveform = network.sample(
                    features.to(parameter), temperature, generator, engine, bar.update
                )
        else:
            waveform = network.sample(features.to(parameter), temperature, generator)
        target = out / name.with_suffix(f".{format}")
        target.parent.mkdir(parents=True, exist_ok=True)
        samples = waveform[0, 0].cpu().numpy()
        num_clipped = write_waveform(target, samples, mel.sample_rate)
        if num_clipped:
            tqdm.write(f"warning: {target}: {num_clipped} of {samples.size} samples were clipped")
        written.append(
            Generated(
                source=source,
                path=target,
                seconds=samples.size / mel.sample_rate,
                num_clipped=num_clipped,
            )
        )
    return written


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


def _frames(source: Path, config: MelConfig, max_seconds: float | None) -> np.ndarray:
    """Log-mel frames of a recording or of a saved array, float32 (num_mels, L)."""
    if source.suffix == ".npy":
        frames = _read_mel(source, config)
    else:
        waveform = read_waveform(source, config.sample_rate)
        short = -len(waveform) % config.hop_length
        padded = torch.from_numpy(np.pad(waveform, (0, short)))[None, None]
        frames = log_mel(padded, config)[0].numpy()
    if max_seconds is not None:
        frames = frames[:, : max(1, round(max_seconds * config.sample_rate / config.hop_length))]
    return frames


def _read_mel(source: Path, config: MelConfig) -> np.ndarray:
    try:
        frames = open_array(source)
    except ArrayError as error:
        raise InputError(str(error)) from error
    if frames.dtype.kind != "f":
        raise InputError(f"{source}: holds {frames.dtype}, expected floats")
    if frames.ndim != 2 or frames.shape[0] != config.num_mels or frames.shape[1] == 0:
        raise InputError(
            f"{source}: has shape {frames.shape}, expected ({config.num_mels}, L) log-mel frames"
        )
    if not np.isfinite(frames).all():
        raise InputError(f"{source}: holds values that are not finite")
    return frames.astype(np.float32)


def _seed_of(seed: int, name: str) -> int:
    words = np.random.SeedSequence([seed, *name.encode()]).generate_state(2)
    return int(words[0]) << 20 ^ int(words[1])
