"""The ways to draw audio from teacher and student that the benchmark compares."""

import dataclasses
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from flows import Engine, EngineError, threads_sharing
from flows.engines.cpu.instructions.intrinsics import MULTIPLIES_PAIRS
from flows.engines.triton.loop import loop_obstacle
from pipelines.benchmark.flops import student_flops, teacher_flops
from student import Student
from teacher import Teacher

BATCH = 16
"""Number of streams that are drawn together, in the systems that draw more than one."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""Number types of the networks by name."""


@dataclass(frozen=True, kw_only=True)
class System:
    """One way to draw audio.

    `draw` draws `num_samples` samples in total, in `batch` streams, on `threads` threads, in
    `precision` (one of `DTYPES`). `warm_up` runs once before the timing; None runs `draw`. `flops`
    is the number of floating-point operations for each sample, or 0 if it is unknown.
    """

    name: str
    draw: Callable[[], object]
    num_samples: int
    threads: int
    batch: int = 1
    flops: float = 0.0
    precision: str = "float32"
    warm_up: Callable[[], object] | None = None

    def prepare(self) -> None:
        """Run what has to run before the timing."""
        (self.warm_up or self.draw)()


def teacher_systems(teacher: Teacher, frames: Tensor, naive_samples: int) -> list[System]:
    """List the ways to sample a teacher: naive, cached, and the fast engines that apply.

    Args:
        teacher: the model.
        frames: log-mel, shape (1, num_mels, L).
        naive_samples: number of samples that the naive way draws.
    """
    num_samples = frames.shape[-1] * teacher.config.hop_length
    # The naive way draws in the middle of the utterance, where the receptive field is full.
    step = teacher.config.frame_length
    naive_samples = max(step, naive_samples // step * step)
    start = min(teacher.receptive_field, max(0, num_samples - naive_samples)) // step * step
    noise = frames.new_empty(1, 1, min(naive_samples, num_samples - start)).normal_()
    threads, flops = torch.get_num_threads(), teacher_flops(teacher)
    systems = [
        System(
            name="teacher, naive",
            draw=lambda: naive_sample(teacher, frames, noise, start),
            num_samples=noise.shape[-1],
            threads=threads,
            flops=flops * teacher.receptive_field // step,
            warm_up=lambda: naive_sample(teacher, frames, noise[..., : 2 * step], start),
        ),
        System(
            name="teacher, cached",
            draw=lambda: teacher.sample(frames, engine="torch"),
            num_samples=num_samples,
            threads=threads,
            flops=flops,
            warm_up=lambda: teacher.sample(frames[..., :1], engine="torch"),
        ),
    ]
    for engine in _fast_engines(teacher):
        sizes = [(1, threads), (BATCH, threads)]
        if engine == "compiled":
            # Only a wide network gains from more threads than streams.
            use_of_threads = threads_sharing(teacher.config.wavenet, threads)
            sizes = [(1, 1), (1, use_of_threads), (BATCH, 1), (BATCH, threads)]
        for batch, count in dict.fromkeys(sizes):
            many, most = frames.expand(batch, -1, -1), max(n for b, n in sizes if b == batch)
            systems.append(
                System(
                    name=f"teacher, {engine}{_sizes(batch, count, most)}",
                    draw=partial(teacher.sample, many, engine=engine),
                    num_samples=batch * num_samples,
                    threads=count,
                    batch=batch,
                    flops=flops,
                )
            )
            if engine == "compiled" and MULTIPLIES_PAIRS and count == most:
                shared = threads_sharing(teacher.config.wavenet, threads, in_pairs=True)
                used = shared if batch == 1 else count
                systems.append(in_bfloat16(dataclasses.replace(systems[-1], threads=used)))
    return systems


def _fast_engines(teacher: Teacher) -> list[Engine]:
    """List the engines that are faster than PyTorch's steps."""
    fast = teacher.choose_engine()[0]
    engines: list[Engine] = [fast] if fast != "torch" else []
    if fast == "graph" and loop_obstacle(teacher.wavenet) is None:
        with suppress(EngineError):
            engines.append(teacher.choose_engine("persistent")[0])
    return engines


def student_systems(student: Student, frames: Tensor) -> list[System]:
    """List the ways to sample a student: by PyTorch, by the fastest engine, and frame by frame.

    Args:
        student: the model.
        frames: log-mel, shape (1, num_mels, L).
    """
    num_samples = frames.shape[-1] * student.config.hop_length
    threads, flops = torch.get_num_threads(), student_flops(student.config)
    ways: dict[str, tuple[Callable[[], object], int]] = {
        "student, PyTorch": (lambda: student.sample(frames, engine="torch"), threads)
    }
    if student.choose_engine()[0] == "compiled":
        ways["student, 1 thread"] = (lambda: student.sample(frames), 1)
    ways["student"] = (lambda: student.sample(frames), threads)
    ways["student, frame by frame"] = (
        lambda: list(student.stream(frames.split(1, -1))),
        threads,
    )
    rounds = student.choose_engine()[0] == "fused" or MULTIPLIES_PAIRS
    systems = []
    for name, (draw, count) in ways.items():
        system = System(name=name, draw=draw, num_samples=num_samples, threads=count, flops=flops)
        systems.append(system)
        if name == "student" and rounds:
            systems.append(in_bfloat16(system, frames.device.type))
    return systems


def in_bfloat16(system: System, device: str = "cpu") -> System:
    """Return a copy of a system whose networks run in bfloat16."""

    def draw() -> object:
        with torch.autocast(device, torch.bfloat16):
            return system.draw()

    name = f"{system.name}, bfloat16"
    return dataclasses.replace(system, name=name, draw=draw, precision="bfloat16")


@torch.no_grad()
def naive_sample(teacher: Teacher, frames: Tensor, noise: Tensor, start: int = 0) -> Tensor:
    """Sample naively: run the network over the whole receptive field for every step.

    Args:
        teacher: the model.
        frames: log-mel, shape (1, num_mels, L).
        noise: standard normal, shape (1, 1, n), n a multiple of the teacher's frame length.
        start: position of the first sample, a multiple of the teacher's frame length; the samples
            before it are silence.
    Returns:
        n samples, shape (1, 1, n).
    """
    hop, step = teacher.config.hop_length, teacher.config.frame_length
    context = teacher.frames_of(frames, frames.shape[-1])
    waveform = noise.new_zeros(1, 1, frames.shape[-1] * hop)
    for i in range(0, noise.shape[-1], step):
        t = start + i
        first, last = max(0, t - teacher.receptive_field) // hop, t // hop + 1
        within = context[..., first:last]
        window = waveform[..., first * hop : last * hop]
        shift, log_gain = teacher.shift_and_log_gain(window, within)
        residual = teacher.folded(window * log_gain.exp() + shift)
        now = slice(t - first * hop, t - first * hop + step)
        params = teacher.residual_params(residual, within)[..., now]
        drawn, _ = teacher.transformer.inverse(noise[..., i : i + step], params)
        if teacher.error_filter is not None:
            drawn = teacher.error_filter.inverse_piece(
                drawn, context[..., [t // hop]], waveform[..., :t]
            )
        waveform[..., t : t + step] = drawn
    return waveform[..., start : start + noise.shape[-1]]


def _sizes(batch: int, threads: int, most_threads: int) -> str:
    """Name the numbers of streams and threads; empty for one stream on the most threads."""
    return (f", batch {batch}" if batch > 1 else "") + (
        f", {threads} thread" if threads < most_threads else ""
    )
