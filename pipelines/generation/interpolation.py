"""Interpolation between two recordings in a model's latent space."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from tqdm import tqdm

from data import (
    log_mel,
    mark_output,
    read_waveform,
    refuse_foreign_files,
    with_pitch,
    with_speaker,
    write_waveform,
)
from flows.model_folder import model_files
from pipelines.generation.inputs import check_max_seconds
from pipelines.workspace import load_model, mel_of, pick_device, pitch_of, speakers_known
from storage.overwriting import refuse_overwriting


def interpolate(
    model: Path,
    first: Path,
    second: Path,
    out: Path,
    *,
    num_steps: int = 5,
    path: Literal["linear", "spherical"] = "spherical",
    max_seconds: float | None = None,
    device: str = "auto",
    speaker: str | None = None,
) -> list[Path]:
    """Encode two recordings, interpolate between their latents, and decode every point.

    The conditioning is interpolated linearly between the recordings' log-mels. A teacher encodes in
    parallel and decodes step by step; a student encodes step by step and decodes in parallel.
    A student trained on speech can encode what it has drawn itself, but seldom a recording, whose
    noise is so unlikely under the student that its numbers overflow.

    Args:
        model: folder of a teacher or a student.
        first: recording at the start of the path.
        second: recording at the end of the path; the longer recording is cut to the shorter one's
            length.
        out: folder that gets one WAV file for each point.
        num_steps: number of points, both ends included.
        path: "linear" or "spherical" in the latent space.
        max_seconds: largest length of the recordings that is used; default: all.
        device: "auto", "cpu" or "cuda".
        speaker: the speaker, for a model that knows speakers.
    Returns:
        the written files, in order.
    Raises:
        OverwriteError: if a file that is read would be overwritten, or a file in a folder that
            this program has not made.
        ValueError: if the model or a recording cannot be used.
    """
    check_max_seconds(max_seconds)
    targets = [out / f"{i:02d}.wav" for i in range(num_steps)]
    refuse_overwriting([first, second, *model_files(model)], targets)
    refuse_foreign_files(out, targets)
    network = load_model(model, pick_device(device))
    mel, speakers = mel_of(network, model), speakers_known(network, model)
    pitch = pitch_of(network, model)
    recordings = [read_waveform(file, mel.sample_rate) for file in (first, second)]
    shortest = min(len(recording) for recording in recordings)
    if max_seconds is not None:
        shortest = min(shortest, round(max_seconds * mel.sample_rate))
    samples = shortest - shortest % mel.hop_length
    if samples == 0:
        raise ValueError(
            f"{first} and {second}: {shortest} samples in common, expected at least a frame of "
            f"{mel.hop_length}"
        )
    parameter = next(network.parameters())
    start, end = (torch.from_numpy(r[:samples])[None, None].to(parameter) for r in recordings)
    with torch.no_grad():
        told = (
            with_pitch(log_mel(waveform, mel), waveform, mel, pitch) for waveform in (start, end)
        )
        start_context, end_context = (
            network.frames_of(with_speaker(frames, speakers, speaker), samples // mel.hop_length)
            for frames in told
        )
        try:
            points = network.flow.interpolate(
                start, end, num_steps, start_context, path, end_context
            )
            _check_finite(points)
        except ValueError as error:
            raise ValueError(f"{first} and {second}: not encoded by {model}: {error}") from error
    mark_output(out)
    for target, point in zip(targets, points, strict=True):
        num_clipped = write_waveform(target, point[0, 0].cpu().numpy(), mel.sample_rate)
        if num_clipped:
            tqdm.write(f"warning: {target}: {num_clipped} of {samples} samples were clipped")
    return targets


def _check_finite(points: Iterable[Tensor]) -> None:
    if not all(torch.isfinite(point).all() for point in points):
        raise ValueError(
            "the interpolated waveforms are not finite, as the recordings are too unlikely under "
            "the model; a teacher encodes any"
        )
