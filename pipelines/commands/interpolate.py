"""The command `parallel-wavenet interpolate`."""

from pathlib import Path
from typing import Literal

from pipelines.generation import interpolation


def interpolate(
    model: Path,
    first: Path,
    second: Path,
    out: Path,
    num_steps: int = 5,
    path: Literal["linear", "spherical"] = "spherical",
    max_seconds: float | None = None,
    device: str = "auto",
    speaker: str | None = None,
) -> None:
    """Interpolate between two recordings in the latent space of a model.

    Args:
        model: folder of a teacher or a student.
        first: recording at the start of the path.
        second: recording at the end; the longer recording is cut to the shorter one's length.
        out: folder that gets one WAV file for each point.
        num_steps: number of points, both ends included.
        path: "linear" or "spherical".
        max_seconds: largest length of the recordings that is used.
        device: "auto", "cpu" or "cuda".
        speaker: the speaker, for a model that knows speakers.
    """
    written = interpolation.interpolate(
        model,
        first,
        second,
        out,
        num_steps=num_steps,
        path=path,
        max_seconds=max_seconds,
        device=device,
        speaker=speaker,
    )
    for file in written:
        print(file)
