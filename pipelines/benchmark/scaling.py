"""The growth of sampling time with the length of the audio and the number of streams."""

import io
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from student import Student
from teacher import Teacher


def scaling(
    teacher: Teacher,
    student: Student,
    frame: Tensor,
    sample_rate: int,
    lengths: Sequence[float],
    batches: Sequence[int],
    rounds: int,
    timed: Callable[[Callable[[], object]], float],
) -> list[dict[str, Any]]:
    """Time teacher and student for every length and batch, interleaved.

    Args:
        teacher: the teacher, sampled by its default engine.
        student: the student, sampled by its default engine.
        frame: log-mel frame that is repeated, shape (1, num_mels, 1).
        sample_rate: Hz.
        lengths: lengths of a stream, seconds of audio.
        batches: numbers of streams that are drawn together.
        rounds: number of measurements of each case; the medians are returned.
        timed: calls a function and returns the call's seconds.
    Returns:
        a row for each case: `system`, `audio_seconds`, `batch`, `seconds`, `seconds_range`, and the
        `samples_per_second` of all streams together.
    """
    hop = student.config.hop_length
    cases: list[tuple[str, int, int, Callable[[], object]]] = []
    for seconds in lengths:
        num_frames = max(1, round(seconds * sample_rate / hop))
        for batch in batches:
            frames = frame.expand(batch, -1, num_frames).contiguous()
            cases.append(("teacher", num_frames, batch, partial(teacher.sample, frames)))
            cases.append(("student", num_frames, batch, partial(student.sample, frames)))
    times: list[list[float]] = [[] for _ in cases]
    for _ in range(rounds):
        for (_, _, _, draw), found in zip(cases, times, strict=True):
            found.append(timed(draw))
    return [
        {
            "system": system,
            "audio_seconds": num_frames * hop / sample_rate,
            "batch": batch,
            "seconds": statistics.median(found),
            "seconds_range": [min(found), max(found)],
            "samples_per_second": batch * num_frames * hop / statistics.median(found),
        }
        for (system, num_frames, batch, _), found in zip(cases, times, strict=True)
    ]


def scaling_table(rows: Sequence[dict[str, Any]]) -> str:
    """Format the rows of `scaling` as a Markdown table."""
    lines = [
        "| system | audio, s | streams | seconds | range | samples/s |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        low, high = row["seconds_range"]
        lines.append(
            f"| {row['system']} | {row['audio_seconds']:.3g} | {row['batch']} | "
            f"{row['seconds']:.3g} | {low:.3g} to {high:.3g} | {row['samples_per_second']:,.0f} |"
        )
    return "\n".join(lines)


def scaling_picture(rows: Sequence[dict[str, Any]]) -> bytes:
    """Draw time against length, with a line for each system and batch, as a PNG."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    lines = dict.fromkeys((row["system"], row["batch"]) for row in rows)
    for system, batch in lines:
        chosen = [row for row in rows if (row["system"], row["batch"]) == (system, batch)]
        lengths = [row["audio_seconds"] for row in chosen]
        label = f"{system}, {batch} stream{'s' * (batch > 1)}"
        axes.loglog(lengths, [row["seconds"] for row in chosen], "o-", label=label)
    lengths = sorted({row["audio_seconds"] for row in rows})
    axes.loglog(lengths, lengths, "k:", label="real time")
    axes.set_xlabel("audio per stream, seconds")
    axes.set_ylabel("time to draw it, seconds")
    axes.legend()
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120)
    return file.getvalue()
