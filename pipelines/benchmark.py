"""Sampling speed of teacher, student and Griffin-Lim on the same mel, in one interleaved run."""

import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flows import ArtefactError
from pipelines.griffin_lim import griffin_lim
from pipelines.workspace import load_model, mel_of, pick_device
from student import Student
from teacher import Teacher


def benchmark(
    teacher: Path,
    student: Path,
    *,
    seconds: float = 1.0,
    naive_samples: int = 200,
    rounds: int = 3,
    device: str = "auto",
    seed: int = 0,
) -> dict[str, Any]:
    """Time how long each system takes to draw audio, batch 1.

    Every round times each system once, in turn, so that the machine's moods hit all alike. The
    medians over rounds are compared.

    Args:
        teacher: folder of a trained teacher.
        student: folder of a trained student.
        seconds: audio drawn per call, rounded to whole frames.
        naive_samples: samples drawn with the whole receptive field recomputed for each; its time
            is extrapolated to `seconds` (it is the same for every sample).
        rounds: measurements per system.
        device: "auto", "cpu" or "cuda".
        seed: of the conditioning and the noise.
    Returns:
        JSON values: machine, sizes and one row per system with `seconds`, `samples_per_second`,
        `real_time_factor` (audio seconds per second) and `times_teacher_cached`.
    """
    place = pick_device(device)
    teacher_model, student_model = load_model(teacher, place), load_model(student, place)
    if not isinstance(teacher_model, Teacher) or not isinstance(student_model, Student):
        raise ArtefactError(
            f"expected a teacher and a student, got {teacher_model.kind} in {teacher} and "
            f"{student_model.kind} in {student}"
        )
    mel = mel_of(teacher_model, teacher)
    mel.check_same(mel_of(student_model, student), str(student))
    generator = torch.Generator().manual_seed(seed)
    num_frames = max(1, round(seconds * mel.sample_rate / mel.hop_length))
    frames = torch.randn(1, mel.num_mels, num_frames, generator=generator)
    context = teacher_model.context
    frames = frames.to(place) * context.std + context.mean  # frames as loud as the corpus
    num_samples = num_frames * mel.hop_length
    array = frames[0].cpu().numpy()

    # In the middle of an utterance the receptive field is full.
    start = min(teacher_model.receptive_field, max(0, num_samples - naive_samples))
    naive_noise = torch.randn(1, 1, min(naive_samples, num_samples - start), device=place)
    systems: dict[str, tuple[Callable[[], object], int]] = {
        "teacher, naive": (
            lambda: naive_sample(teacher_model, frames, naive_noise, start),
            naive_noise.shape[-1],
        ),
        "teacher, cached": (lambda: teacher_model.sample(frames, engine="torch"), num_samples),
        "student": (lambda: student_model.sample(frames), num_samples),
        "griffin-lim, 32 iterations": (lambda: griffin_lim(array, mel), num_samples),
    }
    student_model.sample(frames)  # warm up
    teacher_model.sample(frames[..., :1], engine="torch")
    griffin_lim(array, mel)
    times: dict[str, list[float]] = {name: [] for name in systems}
    for _ in range(rounds):
        for name, (draw, drawn) in systems.items():
            times[name].append(_time(draw, place) * num_samples / drawn)
    cached = statistics.median(times["teacher, cached"])
    rows = []
    for name, measured in times.items():
        median = statistics.median(measured)
        rows.append(
            {
                "system": name,
                "seconds": median,
                "seconds_range": [min(measured), max(measured)],
                "samples_per_second": num_samples / median,
                "real_time_factor": num_samples / mel.sample_rate / median,
                "times_teacher_cached": cached / median,
            }
        )
    return {
        "device": torch.cuda.get_device_name(place)
        if place.type == "cuda"
        else platform.processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "audio_seconds": num_samples / mel.sample_rate,
        "sample_rate": mel.sample_rate,
        "rounds": rounds,
        "teacher_receptive_field": teacher_model.receptive_field,
        "rows": rows,
    }


def benchmark_table(result: dict[str, Any]) -> str:
    """Format a benchmark's result as a Markdown table."""
    lines = [
        f"{result['audio_seconds']:.3g} s of audio at {result['sample_rate']} Hz, batch 1, median "
        f"of {result['rounds']} interleaved rounds, {result['threads']} threads",
        "",
        "| system | seconds | range | samples/s | × real time | × teacher, cached |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in result["rows"]:
        low, high = row["seconds_range"]
        lines.append(
            f"| {row['system']} | {row['seconds']:.3g} | {low:.3g} to {high:.3g} | "
            f"{row['samples_per_second']:,.0f} | {row['real_time_factor']:.3g} | "
            f"{row['times_teacher_cached']:.3g} |"
        )
    return "\n".join(lines)


@torch.no_grad()
def naive_sample(teacher: Teacher, frames: Tensor, noise: Tensor, start: int = 0) -> Tensor:
    """Sample as textbooks do: run the network over the receptive field for every sample.

    Args:
        teacher: what to sample.
        frames: log-mel, shape (1, num_mels, L).
        noise: standard normal, shape (1, 1, n): as many samples as are drawn.
        start: position of the first sample; the ones before it are silence.
    Returns:
        the drawn samples, shape (1, 1, n).
    """
    hop = teacher.config.hop_length
    context = teacher.context(frames, frames.shape[-1])
    waveform = noise.new_zeros(1, 1, frames.shape[-1] * hop)
    for i in range(noise.shape[-1]):
        t = start + i
        first, last = max(0, t - teacher.receptive_field) // hop, t // hop + 1
        window = waveform[..., first * hop : last * hop]
        params = teacher.wavenet(window, context[..., first:last])[..., t - first * hop]
        waveform[..., t], _ = teacher.transformer.inverse(noise[..., i], params)
    return waveform[..., start : start + noise.shape[-1]]


def _time(draw: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    draw()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
