"""Time one stream of teachers on one thread and on two that share it, by the wall clock.

Run from the repository: python docs/results/speed/sharing.py [--rounds 9] [--seconds 2]

Ways are interleaved; weights are random. `--busy 1` has another program take a core meanwhile.
"""

import argparse
import itertools
import statistics
import subprocess
import sys
import time

import torch

from flows import WaveNetConfig, fold_weight_norm
from flows.engines.cpu.instructions.intrinsics import MULTIPLIES_PAIRS
from teacher import Teacher, TeacherConfig

RATE, HOP = 16_000, 256
SIZES = {32: 24, 64: 24, 96: 24, 128: 20, 256: 20}  # channels: layers


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--busy", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(0)
    teachers = {}
    for width, layers in SIZES.items():
        config = WaveNetConfig(
            num_layers=layers,
            layers_per_cycle=layers // 2,
            residual_channels=width,
            skip_channels=width,
        )
        teachers[width] = Teacher(TeacherConfig(wavenet=config)).eval()
        fold_weight_norm(teachers[width])
    frames = torch.randn(1, 80, round(options.seconds * RATE / HOP))
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options.busy)
    ]
    try:
        measure(teachers, frames, options.rounds)
    finally:
        for process in busy:
            process.kill()


def measure(teachers: dict[int, Teacher], frames: torch.Tensor, rounds: int) -> None:
    """Draw by turns, and print the rates."""
    rates: dict[tuple[int, bool, int], list[float]] = {}
    precisions = (False, True)[: 1 + MULTIPLIES_PAIRS]
    for turn in range(rounds + 1):  # the first warms up
        for width, teacher in teachers.items():
            for rounded, threads in itertools.product(precisions, (1, 2)):
                torch.set_num_threads(threads)
                generator = torch.Generator().manual_seed(turn)
                start = time.perf_counter()
                with torch.autocast("cpu", torch.bfloat16, rounded):
                    drawn = teacher.sample(frames, generator=generator, engine="compiled")
                rate = drawn.shape[-1] / (time.perf_counter() - start)
                if turn:
                    rates.setdefault((width, rounded, threads), []).append(rate)
    print("| channels | layers | precision | 1 thread, samples/s | 2 threads, samples/s | ratio |")
    print("|---:|---:|---|---:|---:|---:|")
    for width, rounded in itertools.product(teachers, precisions):
        one, two = rates[width, rounded, 1], rates[width, rounded, 2]
        ratio = statistics.median(b / a for a, b in zip(one, two, strict=True))
        cells = [
            f"{statistics.median(r):,.0f} ({min(r):,.0f} to {max(r):,.0f})" for r in (one, two)
        ]
        name = "bfloat16" if rounded else "float32"
        print(f"| {width} | {SIZES[width]} | {name} | {cells[0]} | {cells[1]} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
