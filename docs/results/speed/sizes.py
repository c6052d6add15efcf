"""Time teacher and student at the papers' sizes on one thread, in processor time, interleaved.

Run from the repository: python docs/results/speed/sizes.py [--rounds 5] [--frame_length 1]

With a frame length above 1, the teacher is the frame teacher of recipe `allison` with frames of
this length: 8 layers of 128 channels.

Processor time does not count the waiting for a core that other programs hold: it compares on a busy
machine, too. Weights are random. A share of the peak is of the best matrix product that was found
in that precision, `pipelines.benchmark.peak`.

One stream of the teacher reads its weights for every step (a sample, or a frame), more than a
core's own caches hold. How fast this core reads an array of that size bounds the rate of steps, and
is measured in the same rounds. Two shares of that bound are printed: of all weights, and of those
that a step reads. The older taps are read once for several steps.
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
from flows.engines.cpu.arrays import Network
from flows.engines.cpu.instructions.intrinsics import MULTIPLIES_PAIRS
from flows.engines.cpu.layout import lay_out_loop
from flows.engines.cpu.worker_pool import LONGEST_BLOCK
from pipelines.benchmark.flops import student_flops, teacher_flops
from pipelines.benchmark.peak import peak_gflops
from pipelines.benchmark.samplers import DTYPES, System, in_bfloat16
from pipelines.plain_yaml import load_plain
from pipelines.recipes import find_recipe
from storage.configuration import decode
from student import Student, StudentConfig
from teacher import Teacher, TeacherConfig

HOP = 256
TEACHER = TeacherConfig(wavenet=WaveNetConfig(num_layers=24, layers_per_cycle=12))
STUDENT = StudentConfig(flow_layers=(10,) * 6)
READS = 500


def frame_teacher(frame_length: int) -> TeacherConfig:
    """Return the teacher of recipe `allison`, with another frame length."""
    values = load_plain(find_recipe("allison").read_text())["teacher"]
    return decode(TeacherConfig, values | {"frame_length": frame_length}, "teacher")


def weight_bytes(network: Network) -> tuple[int, int]:
    """Count the bytes of all weights, and of those that a step of one stream reads.

    A step reads every weight but the older taps, which are read once for a block of steps.
    """
    layers = (network.current, network.out, network.skip)
    every = sum(array.nbytes for array in (network.first, *layers, network.hidden, network.head))
    older = network.older.nbytes / network.dilations.size
    blocks = np.minimum(network.dilations, LONGEST_BLOCK)
    return every + network.older.nbytes, every + round(float((older / blocks).sum()))


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
    parser.add_argument("--frame_length", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    step = options.frame_length
    config = TEACHER if step == 1 else frame_teacher(step)
    teacher, student = Teacher(config).eval(), Student(STUDENT).eval()
    fold_weight_norm(teacher)
    fold_weight_norm(student)
    systems: list[System] = []
    longer = 1 if step == 1 else 4  # so that the network of the context takes a small share
    for name, streams, frames, engine in (
        ("teacher, PyTorch step", 1, longer, "torch"),
        ("teacher, compiled", 1, 128 * longer, "compiled"),
        ("teacher, compiled, 16 streams", 16, 8 * step, "compiled"),
    ):
        draw = partial(teacher.sample, torch.randn(streams, 80, frames), engine=engine)
        samples, flops = streams * frames * HOP, teacher_flops(teacher)
        systems.append(System(name=name, draw=draw, num_samples=samples, threads=1, flops=flops))
    mel, samples, flops = torch.randn(1, 80, 64), 64 * HOP, student_flops(STUDENT)
    for name, engine in (("student, PyTorch", "torch"), ("student, compiled", "compiled")):
        draw = partial(student.sample, mel, engine=engine)
        systems.append(System(name=name, draw=draw, num_samples=samples, threads=1, flops=flops))
    precisions = list(DTYPES)[: 1 + MULTIPLIES_PAIRS]
    if MULTIPLIES_PAIRS:
        systems += [in_bfloat16(system) for system in systems if "PyTorch step" not in system.name]
    num_bytes = {
        name: weight_bytes(
            *lay_out_loop(teacher.wavenet, config.log_scale_floor, 1, name == "bfloat16")
        )
        for name in precisions
    }
    arrays = {
        (name, size): np.ones(size // 4, np.float32)
        for name, sizes in num_bytes.items()
        for size in sizes
    }
    times: dict[str, list[float]] = {system.name: [] for system in systems}
    peaks: dict[str, list[float]] = {name: [] for name in precisions}
    reads: dict[tuple[str, int], list[float]] = {key: [] for key in arrays}
    for system in systems:
        system.prepare()
    read(np.ones(1, np.float32), 1)  # compiles
    for _ in range(options.rounds):
        for name in precisions:
            peaks[name].append(peak_gflops(1, torch.device("cpu"), DTYPES[name]))
        for key, array in arrays.items():
            reads[key].append(READS / seconds_of(partial(read, array, READS)))
        for system in systems:
            times[system.name].append(seconds_of(system.draw))
    peak = {name: statistics.median(found) for name, found in peaks.items()}
    said = ", ".join(f"{rate:.0f} in {name}" for name, rate in peak.items())
    print(f"matrix products, GFLOP/s: {said}; torch {torch.__version__}\n")
    print("| system | samples per processor second | range | MFLOP/sample | share of peak |")
    print("|---|---:|---:|---:|---:|")
    median = {}
    for system in systems:
        rates = sorted(system.num_samples / seconds for seconds in times[system.name])
        rate = median[system.name] = statistics.median(rates)
        share = rate * system.flops / peak[system.precision] / 1e9
        print(
            f"| {system.name} | {rate:,.0f} | {rates[0]:,.0f} to {rates[-1]:,.0f} | "
            f"{system.flops / 1e6:.3g} | {share:.0%} |",
            flush=True,
        )
    for name, sizes in num_bytes.items():
        rate = median["teacher, compiled" + ", bfloat16" * (name == "bfloat16")]
        print(
            f"\nOne stream of the teacher in {name}: {rate / step:,.0f} steps a second, "
            f"{rate / median['teacher, PyTorch step']:.0f} times PyTorch's steps."
        )
        for which, size in zip(("all weights", "what a step reads"), sizes, strict=True):
            limit = statistics.median(reads[name, size])
            print(
                f"* {which}: {size / 1e6:.2f} MB, which this core reads {limit:,.0f} times a "
                f"second ({limit * size / 1e9:.0f} GB/s); steps: {rate / step / limit:.0%} of that"
            )


def seconds_of(draw: Callable[[], object]) -> float:
    """Return the processor time of a call."""
    start = time.process_time()
    draw()
    return time.process_time() - start


if __name__ == "__main__":
    main()
