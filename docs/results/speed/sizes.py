"""Time teacher and student at the papers' sizes on one thread, in processor time, interleaved.

Run from the repository: python docs/results/speed/sizes.py [--rounds 5]

Processor time does not count the waiting for a core that other programs hold: it compares on a busy
machine, too. Weights are random.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch

from flows import WaveNetConfig, fold_weight_norm
from pipelines.flops import student_flops, teacher_flops
from student import Student, StudentConfig
from teacher import Teacher, TeacherConfig

HOP = 256
TEACHER = TeacherConfig(wavenet=WaveNetConfig(num_layers=24, layers_per_cycle=12))
STUDENT = StudentConfig(flow_layers=(10,) * 6)
PEAK = 1024


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    teacher, student = Teacher(TEACHER).eval(), Student(STUDENT).eval()
    fold_weight_norm(teacher)
    fold_weight_norm(student)
    a, b = torch.randn(PEAK, PEAK), torch.randn(PEAK, PEAK)
    ways: dict[str, tuple[Callable[[], object], int, float]] = {
        "matrix product of 1024": (lambda: a @ b, 1, 2 * PEAK**3)
    }
    flops = teacher_flops(teacher)
    for name, streams, frames, engine in (
        ("teacher, PyTorch step", 1, 1, "torch"),
        ("teacher, compiled", 1, 32, "compiled"),
        ("teacher, compiled, 16 streams", 16, 8, "compiled"),
    ):
        mel = torch.randn(streams, 80, frames)
        draw = partial(teacher.sample, mel, engine=engine)
        ways[name] = (draw, streams * frames * HOP, flops)
    mel, flops = torch.randn(1, 80, 64), student_flops(STUDENT)
    for name, engine in (("student, PyTorch", "torch"), ("student, compiled", "compiled")):
        ways[name] = (partial(student.sample, mel, engine=engine), 64 * HOP, flops)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for draw, _, _ in ways.values():
        draw()
    for _ in range(options.rounds):
        for name, (draw, _, _) in ways.items():
            start = time.process_time()
            draw()
            times[name].append(time.process_time() - start)
    peak = 2 * PEAK**3 / statistics.median(times["matrix product of 1024"])
    print(f"matrix products: {peak / 1e9:.0f} GFLOP/s; torch {torch.__version__}\n")
    print("| system | samples per processor second | range | MFLOP/sample | share of peak |")
    print("|---|---:|---:|---:|---:|")
    for name, (_, samples, cost) in list(ways.items())[1:]:
        rates = sorted(samples / seconds for seconds in times[name])
        rate = statistics.median(rates)
        print(
            f"| {name} | {rate:,.0f} | {rates[0]:,.0f} to {rates[-1]:,.0f} | {cost / 1e6:.3g} | "
            f"{rate * cost / peak:.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
