"""Sampling speed of teacher, student and other vocoders on equal log-mels, interleaved."""

import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flows import ArtefactError
from flows.engines.threads import pytorch_threads
from pipelines.benchmark.call_costs import peak_megabytes, seconds_of
from pipelines.benchmark.headline import at_their_best, headline_table
from pipelines.benchmark.peak import peak_gflops
from pipelines.benchmark.peers import peer_systems
from pipelines.benchmark.samplers import DTYPES, System, student_systems, teacher_systems
from pipelines.benchmark.scaling import scaling, scaling_table
from pipelines.workspace import load_model, mel_of, pick_device
from student import Student
from teacher import Teacher


class BenchmarkError(ValueError):
    """A benchmark that cannot be run with these arguments."""


def benchmark(
    teacher: Path,
    student: Path,
    *,
    seconds: float = 1.0,
    lengths: Sequence[float] = (),
    batches: Sequence[int] = (1,),
    naive_samples: int = 200,
    rounds: int = 3,
    device: str = "auto",
    seed: int = 0,
) -> dict[str, Any]:
    """Time how long each system takes to draw audio.

    Every round times each system once, in turn, so that changes of the machine's speed affect all
    systems equally. The medians over rounds are compared.

    Args:
        teacher: folder of a trained teacher.
        student: folder of a trained student.
        seconds: audio drawn by a call for each stream, rounded to whole frames.
        lengths: further lengths, seconds; only teacher and student are timed at these.
        batches: numbers of streams to time at each of `lengths`.
        naive_samples: number of samples drawn naively, with the whole receptive field recomputed
            for each. The time is extrapolated to `seconds`, as every sample takes equally long.
        rounds: number of measurements of each system.
        device: "auto", "cpu" or "cuda".
        seed: seed of the conditioning and the noise.
    Returns:
        JSON values:

        * a description of the machine and of the sizes, and `peak_gflops`, the machine's best rate
          of matrix products by precision and number of threads;
        * one row for each system: `seconds` of a call; `samples_per_second` and `real_time_factor`
          (audio seconds per second) of all streams together; `times_teacher_cached` (ratio of
          samples per second); `mflop_per_sample`, `gflops` and `share_of_peak`; and
          `peak_megabytes`, which a call adds to the memory in use;
        * `first_chunk_seconds`: the time from a student's first frames to its first audio;
        * `scaling`: a row for each of `lengths` and `batches`.
    """
    if not all(length > 0 for length in (seconds, *lengths)) or not all(n >= 1 for n in batches):
        raise BenchmarkError(
            f"seconds is {seconds}, lengths {list(lengths)}, batches {list(batches)}: expected "
            "positive numbers"
        )
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
    context = teacher_model.context
    frames = torch.randn(1, context.num_features, num_frames, generator=generator)
    frames = frames.to(place) * context.std + context.mean  # as loud as the corpus
    systems = [
        *teacher_systems(teacher_model, frames, naive_samples),
        *student_systems(student_model, frames),
        *peer_systems(student_model, frames, mel),
    ]
    rates = sorted({(system.precision, system.threads) for system in systems})
    times: dict[str, list[float]] = {system.name: [] for system in systems}
    first_chunks: list[float] = []
    peaks: dict[tuple[str, int], list[float]] = {rate: [] for rate in rates}
    for system in systems:
        with pytorch_threads(system.threads):
            system.prepare()
    for _ in range(rounds):
        for precision, count in rates:
            peaks[precision, count].append(peak_gflops(count, place, DTYPES[precision]))
        for system in systems:
            with pytorch_threads(system.threads):
                times[system.name].append(seconds_of(system.draw, place))
        first_chunks.append(seconds_of(lambda: _first_chunk(student_model, frames), place))
    memory = {}
    for system in systems:
        with pytorch_threads(system.threads):
            memory[system.name] = peak_megabytes(system.draw, place)
    peak = {rate: statistics.median(found) for rate, found in peaks.items()}
    by_precision: dict[str, dict[str, float]] = {}
    for (precision, count), value in peak.items():
        by_precision.setdefault(precision, {})[str(count)] = value
    return {
        "device": _device_name(place),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "audio_seconds": num_frames * mel.hop_length / mel.sample_rate,
        "sample_rate": mel.sample_rate,
        "rounds": rounds,
        "teacher_receptive_field": teacher_model.receptive_field,
        "student_look_ahead_seconds": (student_model.config.context_margin + 1)
        * mel.hop_length
        / mel.sample_rate,
        "first_chunk_seconds": statistics.median(first_chunks),
        "peak_gflops": by_precision,
        "rows": _rows(systems, times, peak, memory, num_frames * mel.hop_length, mel.sample_rate),
        "scaling": scaling(
            teacher_model,
            student_model,
            frames[..., :1],
            mel.sample_rate,
            lengths,
            batches,
            rounds,
            lambda draw: seconds_of(draw, place),
        ),
    }


def _first_chunk(student: Student, frames: Tensor) -> Tensor:
    """Draw a stream's first chunk, from its first frames and their look-ahead."""
    return next(student.stream(frames.split(1, -1)))


def _rows(
    systems: list[System],
    times: dict[str, list[float]],
    peak: dict[tuple[str, int], float],
    memory: dict[str, float | None],
    num_samples: int,
    sample_rate: int,
) -> list[dict[str, Any]]:
    rates = {
        system.name: system.num_samples / statistics.median(times[system.name])
        for system in systems
    }
    rows = []
    for system in systems:
        # The time of a call that draws fewer samples is extrapolated to all samples.
        longer = system.batch * num_samples / system.num_samples
        found = [longer * seconds for seconds in times[system.name]]
        rate = rates[system.name]
        gflops = rate * system.flops / 1e9
        rows.append(
            {
                "system": system.name,
                "batch": system.batch,
                "threads": system.threads,
                "seconds": statistics.median(found),
                "seconds_range": [min(found), max(found)],
                "samples_per_second": rate,
                "real_time_factor": rate / sample_rate,
                "times_teacher_cached": rate / rates["teacher, cached"],
                "mflop_per_sample": system.flops / 1e6 or None,
                "gflops": gflops or None,
                "precision": system.precision,
                "share_of_peak": gflops / peak[system.precision, system.threads] or None,
                "peak_megabytes": memory[system.name],
            }
        )
    return rows


def benchmark_table(result: dict[str, Any]) -> str:
    """Format a benchmark's result as a Markdown table."""
    peaks = ", ".join(
        f"{rate:.0f} GFLOP/s in {precision} on {count} thread{'s' * (count != '1')}"
        for precision, rates in result["peak_gflops"].items()
        for count, rate in rates.items()
    )
    lines = [
        f"{result['audio_seconds']:.3g} s of audio at {result['sample_rate']} Hz, batch 1 unless "
        f"given, median of {result['rounds']} interleaved rounds, {result['threads']} threads; "
        f"{result['device']}; matrix products: {peaks}",
        "",
        headline_table(at_their_best(result["rows"])),
        "",
        "| system | seconds | range | samples/s | × real time | × teacher, cached | "
        "MFLOP/sample | GFLOP/s | share of peak | peak memory, MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in result["rows"]:
        low, high = row["seconds_range"]
        cost = "| | | |"
        if row.get("mflop_per_sample"):
            cost = (
                f"| {row['mflop_per_sample']:.3g} | {row['gflops']:.3g} | "
                f"{row['share_of_peak']:.0%} |"
            )
        lines.append(
            f"| {row['system']} | {row['seconds']:.3g} | {low:.3g} to {high:.3g} | "
            f"{row['samples_per_second']:,.0f} | {row['real_time_factor']:.3g} | "
            f"{row['times_teacher_cached']:.3g} {cost} {_megabytes(row)} |"
        )
    if result.get("first_chunk_seconds"):
        lines += ["", _latency(result)]
    if result.get("scaling"):
        lines += ["", scaling_table(result["scaling"])]
    return "\n".join(lines)


def _megabytes(row: dict[str, Any]) -> str:
    found = row.get("peak_megabytes")
    return "" if found is None else f"{found:.0f}"


def _latency(result: dict[str, Any]) -> str:
    return (
        f"A stream's first chunk takes {1e3 * result['first_chunk_seconds']:.1f} ms from its "
        f"frames, which span {1e3 * result['student_look_ahead_seconds']:.0f} ms."
    )


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
