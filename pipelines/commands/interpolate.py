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
    """Walk from one recording to another through the latent space of a model.

    Args:
        model: folder of a teacher or a student.
        first: recording at the start.
        second: recording at the end; the longer one is cut to the length of the shorter.
        out: folder that gets one WAV file per point.
        num_steps: points, both ends included.
        path: "linear" or "spherical".
        max_seconds: use so much of the recordings at most.
        device: "auto", "cpu" or "cuda".
        speaker: who speaks, for a model that is told.
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
