"""Time teacher and student at the papers' sizes on a GPU, interleaved, by the wall clock.

Run from the repository: python docs/results/speed/gpu.py [--seconds 10] [--batch 16] [--rounds 5]

Weights are random. With --device cpu it runs the engines of a CPU: a check of the script.
"""

import argparse
import itertools
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch

from flows import EngineError, WaveNetConfig, fold_weight_norm
from pipelines.benchmark.call_costs import seconds_of
from pipelines.benchmark.flops import student_flops, teacher_flops
from student import Student, StudentConfig
from teacher import Teacher, TeacherConfig

SAMPLE_RATE, HOP = 22050, 256
TEACHER = TeacherConfig(wavenet=WaveNetConfig(num_layers=24, layers_per_cycle=12))
STUDENT = StudentConfig(flow_layers=(10,) * 6)
PRECISIONS = ("float32", "TF32", "bfloat16")


@contextmanager
def precision(name: str, device: str) -> Iterator[None]:
    """Multiply that way in convolutions and matrix products."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = name == "TF32"
    mixed = torch.autocast(device, torch.bfloat16) if name == "bfloat16" else nullcontext()
    with mixed:
        yield


@torch.no_grad()
def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--seconds", type=float, default=10.0, help="of audio, by a student")
    parser.add_argument("--frames", type=int, default=16, help="of 256 samples, by a teacher")
    parser.add_argument("--batch", type=int, default=16, help="streams, where it is not one")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    device = options.device
    torch.manual_seed(0)
    teacher, student = Teacher(TEACHER).eval().to(device), Student(STUDENT).eval().to(device)
    ways: dict[str, tuple[Callable[[], object], str, int, float]] = {}
    for model, frames, flops in (
        (teacher, options.frames, teacher_flops(teacher)),
        (student, round(options.seconds * SAMPLE_RATE / HOP), student_flops(STUDENT)),
    ):
        fold_weight_norm(model)
        names = PRECISIONS if isinstance(model, Student) else PRECISIONS[:1]
        for name, engine, streams in itertools.product(
            names,
            ("torch", "compiled", "graph", "persistent", "fused"),
            dict.fromkeys((1, options.batch)),
        ):
            try:
                model.choose_engine(engine)
            except EngineError:
                continue  # of another device, or of the other model
            mel = torch.randn(streams, 80, frames, device=device)
            row = f"{model.kind}, {engine}, {name}, {streams} streams"
            samples = streams * frames * HOP
            ways[row] = (
                lambda model=model, mel=mel, engine=engine: model.sample(mel, engine=engine),
                name,
                samples,
                flops,
            )
    times: dict[str, list[float]] = {row: [] for row in ways}
    for i in range(options.rounds + 1):  # the first one compiles and captures
        for row, (draw, name, _, _) in ways.items():
            with precision(name, device):
                found = seconds_of(draw, torch.device(device))
            if i:
                times[row].append(found)
    where = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    print(f"{where}; torch {torch.__version__}\n")
    print("| system | samples/s | range | x real time | TFLOP/s |")
    print("|---|---:|---:|---:|---:|")
    for row, (_, _, samples, flops) in ways.items():
        rates = sorted(samples / seconds for seconds in times[row])
        rate = statistics.median(rates)
        print(
            f"| {row} | {rate:,.0f} | {rates[0]:,.0f} to {rates[-1]:,.0f} | "
            f"{rate / SAMPLE_RATE:.3g} | {rate * flops / 1e12:.3g} |"
        )


if __name__ == "__main__":
    main()
