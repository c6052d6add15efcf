"""Time ways of running a student on this CPU, interleaved: what decision 10 chose from.

Run from the repository: python docs/results/speed/variants.py [--seconds 5] [--rounds 5]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from flows import fold_weight_norm
from student import Student, StudentConfig
from student.context import StudentContext, context_of
from student.rendering import Renderer

SIZES = {
    "6 x 10 layers, 64 channels, kernel 3": StudentConfig(flow_layers=(10,) * 6),
    "3 x 6 layers, 32 channels, kernel 3": StudentConfig(
        flow_layers=(6,) * 3, layers_per_cycle=6, residual_channels=32
    ),
}


def variants(
    student: Student, z: Tensor, frames: StudentContext
) -> dict[str, Callable[[], Tensor]]:
    """Every way, as a function that returns the waveform."""
    hop, inverse = student.config.hop_length, student.flow.transform.inverse

    def streamed(size: int, engine: str, mixed: bool = False) -> Callable[[], Tensor]:
        @torch.autocast("cpu", torch.bfloat16, enabled=mixed)
        def run() -> Tensor:
            renderer = Renderer(student.steps, student.chain_weights, z, engine)
            pieces = zip(z.split(size * hop, -1), frames.split(size), strict=True)
            return torch.cat([renderer(*piece) for piece in pieces], -1)

        return run

    def bfloat16() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return inverse(z, frames)[0]

    unfolded = Student(student.config)
    unfolded.eval()
    compiled = torch.compile(inverse, dynamic=False)
    return {
        "PyTorch, weight norm as in training": lambda: unfolded.flow.transform.inverse(z, frames)[
            0
        ],
        "PyTorch, weight norm folded": lambda: inverse(z, frames)[0],
        "PyTorch, torch.compile": lambda: compiled(z, frames)[0],
        "PyTorch, bfloat16 autocast": bfloat16,
        **{f"PyTorch, {n} frames at a time": streamed(n, "torch") for n in (8, 16, 32, 64)},
        **{
            f"PyTorch, bfloat16, {n} frames at a time": streamed(n, "torch", True)
            for n in (16, 128)
        },
        **{f"compiled, {n} frames at a time": streamed(n, "compiled") for n in (1, 16, 64)},
        **{
            f"compiled, bfloat16, {n} frames at a time": streamed(n, "compiled", True)
            for n in (1, 16, 64)
        },
    }


@torch.no_grad()
def main() -> None:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.manual_seed(0)
    for name, config in SIZES.items():
        student = Student(config).eval()
        fold_weight_norm(student)
        num_frames = round(options.seconds * 22050 / config.hop_length)
        z = torch.randn(1, 1, num_frames * config.hop_length)
        frames = context_of(torch.randn(1, config.context_channels, num_frames))
        ways = variants(student, z, frames)
        reference = ways["PyTorch, weight norm folded"]()
        errors = {way: float((run() - reference).abs().max()) for way, run in ways.items()}
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way, run in ways.items():
                start = time.perf_counter()
                run()
                times[way].append(time.perf_counter() - start)
        print(f"\n{name}, {options.seconds:g} s at 22,050 Hz, {torch.get_num_threads()} threads\n")
        print("| way | seconds | range | samples/s | × real time | largest difference |")
        print("|---|---:|---:|---:|---:|---:|")
        for way, found in times.items():
            median = statistics.median(found)
            print(
                f"| {way} | {median:.3f} | {min(found):.3f} to {max(found):.3f} | "
                f"{z.shape[-1] / median:,.0f} | {z.shape[-1] / median / 22050:.2f} | "
                f"{errors[way]:.1e} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
