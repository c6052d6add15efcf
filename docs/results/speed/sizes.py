"""Time teacher and student at the papers' sizes on one thread, in processor time, interleaved.

Run from the repository: python docs/results/speed/sizes.py [--rounds 5]

Processor time does not count the waiting for a core that other programs hold: it compares on a busy
machine, too. Weights are random.

One stream of the teacher reads its weights for every sample, more than a core's own caches hold:
how fast this core reads an array of that size bounds its rate, and is measured in the same rounds.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numba
import numpy as np
import torch

from flows import WaveNetConfig, fold_weight_norm
from flows.compiled.crew import LONGEST_BLOCK
from flows.compiled.layout import Network, lay_out_network
from pipelines.flops import student_flops, teacher_flops
from student import Student, StudentConfig
from teacher import Teacher, TeacherConfig

HOP = 256
TEACHER = TeacherConfig(wavenet=WaveNetConfig(num_layers=24, layers_per_cycle=12))
STUDENT = StudentConfig(flow_layers=(10,) * 6)
PEAK = 1024
READS = 500


def weights_read(network: Network) -> int:
    """Count the bytes that a sample of one stream reads; older taps once for a block of samples."""
    layers = (network.current, network.out, network.skip)
    every = (network.first, *layers, network.hidden, network.head)
    older = network.older.nbytes / network.dilations.size
    blocks = np.minimum(network.dilations, LONGEST_BLOCK)
    return sum(array.nbytes for array in every) + round(float((older / blocks).sum()))


@numba.njit(fastmath=True)  # a sum in any order: in several vector registers
def read(array: np.ndarray, times: int) -> float:
    """Read an array, again and again."""
    total = np.float32(0.0)
    for k in range(times):
        array[k] += np.float32(1.0)  # so that no pass can stand for another
        for i in range(array.size):
            total += array[i]
    return total


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
    num_bytes = weights_read(*lay_out_network(teacher.wavenet, TEACHER.log_scale_floor, 1))
    weights = np.ones(num_bytes // 4, np.float32)
    ways: dict[str, tuple[Callable[[], object], int, float]] = {
        "matrix product of 1024": (lambda: a @ b, 1, 2 * PEAK**3),
        "reading the weights": (lambda: read(weights, READS), READS, 0.0),
    }
    flops = teacher_flops(teacher)
    for name, streams, frames, engine in (
        ("teacher, PyTorch step", 1, 1, "torch"),
        ("teacher, compiled", 1, 128, "compiled"),
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
    for name, (_, samples, cost) in list(ways.items())[2:]:
        rates = sorted(samples / seconds for seconds in times[name])
        rate = statistics.median(rates)
        print(
            f"| {name} | {rate:,.0f} | {rates[0]:,.0f} to {rates[-1]:,.0f} | {cost / 1e6:.3g} | "
            f"{rate * cost / peak:.0%} |",
            flush=True,
        )
    limit = READS / statistics.median(times["reading the weights"])
    _, samples, _ = ways["teacher, compiled"]
    rate = samples / statistics.median(times["teacher, compiled"])
    speed = limit * num_bytes / 1e9
    print(
        f"\nOne stream of the teacher reads {num_bytes / 1e6:.2f} MB of weights a sample; this "
        f"core reads an array of that size at {speed:.0f} GB/s, {limit:,.0f} times a second: the "
        f"stream draws {rate / limit:.0%} of that."
    )


if __name__ == "__main__":
    main()
