"""Time training steps against the straightforward formulation, interleaved.

Run from the repository: python docs/results/speed/training.py [--rounds 5] [--profile]

The straightforward formulation repeats the context to sample rate and projects it in every layer
there, in eager 32-bit arithmetic; every step reads its loss back, and Adam takes the parameters one
by one. All else, sizes, loss, clipping and averaging, is the same. With one thread
(OMP_NUM_THREADS=1) it is processor time that is taken, which other programs disturb less.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from types import MethodType

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from distill import Distillation, DistillationConfig
from flows import Past, WaveNet, WaveNetConfig
from flows.networks.gated import SQRT_HALF, Stack, skip_gain
from flows.networks.wavenet import FRAME_GAIN
from pipelines.training.ema import Average
from student import Student, StudentConfig
from teacher import Teacher, TeacherConfig

BATCH, FRAMES = 2, 32
TEACHER = TeacherConfig(wavenet=WaveNetConfig(num_layers=24, layers_per_cycle=12))
STUDENT = StudentConfig(flow_layers=(10,) * 6)


def naive_params(
    self: WaveNet,
    x: Tensor,
    context: Tensor | None = None,
    past: Past | None = None,
    stack: Stack | None = None,
) -> Tensor:
    """What `WaveNet.forward` computes without a linear predictor, as one writes it first."""
    assert context is not None
    assert self.context is not None
    assert self.frame_params is not None
    repeated = context.repeat_interleave(x.shape[-1] // context.shape[-1], -1)
    weights = self.context.weight.chunk(len(self.layers))
    h = self.first(F.pad(x, (1, 0))[..., :-1] / self.input_std)
    total: Tensor | None = None
    for layer, weight in zip(self.layers, weights, strict=True):
        gates = layer.gate(F.pad(h, (layer.history, 0))) + F.conv1d(repeated, weight)
        filter, gate = gates.chunk(2, 1)
        out = layer.out(torch.tanh(filter) * torch.sigmoid(gate))
        residual, skip = out[:, : h.shape[1]], out[:, h.shape[1] :]
        h = (h + residual) * SQRT_HALF
        total = skip if total is None else total + skip
    if self.config.skip_channels:
        assert total is not None
        h = total * skip_gain(len(self.layers))
    params = self.head(F.relu(self.hidden(F.relu(h)))) + FRAME_GAIN * self.frame_params(repeated)
    return params.view(x.shape[0], self.num_params, self.num_channels, -1)


def make_naive(model: nn.Module) -> None:
    """Let every network of a model compute as `naive_params` does."""
    for module in model.modules():
        if isinstance(module, WaveNet):
            module.forward = MethodType(naive_params, module)  # type: ignore[method-assign]


def teacher_loss() -> tuple[nn.Module, Callable[[], Tensor]]:
    """A teacher, and its negative log-likelihood of a batch."""
    teacher = Teacher(TEACHER)
    waveform, log_mel = 0.1 * torch.randn(BATCH, 1, FRAMES * 256), torch.randn(BATCH, 80, FRAMES)
    return teacher, lambda: -teacher.log_prob(waveform, log_mel).mean() / waveform.shape[-1]


def student_loss() -> tuple[nn.Module, Callable[[], Tensor]]:
    """A student and its frozen teacher, and the loss of distillation."""
    objective = Distillation(Student(STUDENT), Teacher(TEACHER), DistillationConfig())
    waveform, log_mel = 0.1 * torch.randn(BATCH, 1, FRAMES * 256), torch.randn(BATCH, 80, FRAMES)
    noise = torch.randn_like(waveform)
    return objective, lambda: objective(noise, log_mel, waveform)["loss"]


def make_step(model: nn.Module, loss: Callable[[], Tensor], naive: bool) -> Callable[[], object]:
    """One training step, as `pipelines.training.loop` makes it, or as one writes it first."""
    trained = [p for p in model.parameters() if p.requires_grad]
    adam = torch.optim.Adam(trained, lr=1e-4, foreach=False if naive else None, fused=not naive)
    averaged = Average(model, 0.9999)

    def step() -> object:
        value = loss()
        adam.zero_grad()
        value.backward()
        norm = nn.utils.clip_grad_norm_(trained, 1.0)
        adam.step()
        averaged.update_parameters(model)
        return bool(torch.isfinite(norm)) and naive and value.item()

    return step


def ways(make: Callable[[], tuple[nn.Module, Callable[[], Tensor]]]) -> dict[str, Callable]:
    """The same step in every form."""
    found = {}
    for name, dtype in {
        "straightforward": None,
        "32 bits": None,
        "bf16-mixed": torch.bfloat16,
    }.items():
        torch.manual_seed(0)
        model, loss = make()
        if name == "straightforward":
            make_naive(model)

        def mixed(loss: Callable[[], Tensor] = loss, dtype: torch.dtype | None = dtype) -> Tensor:
            with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
                return loss()

        found[name] = make_step(model, mixed, name == "straightforward")
    return found


def main() -> None:
    """Print a table for each model, and with --profile where the time goes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    samples = BATCH * FRAMES * 256
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    for kind, make in {"teacher": teacher_loss, "student": student_loss}.items():
        steps = ways(make)
        times: dict[str, list[float]] = {name: [] for name in steps}
        for step in steps.values():
            step()
        for _ in range(options.rounds):
            for name, step in steps.items():
                start = clock()
                step()
                times[name].append(clock() - start)
        first = statistics.median(times["straightforward"])
        print(f"\n{kind}, {BATCH} x {FRAMES * 256} samples, {torch.get_num_threads()} threads\n")
        print("| step | seconds | range | samples/s | x straightforward |")
        print("|---|---:|---:|---:|---:|")
        for name, found in times.items():
            median = statistics.median(found)
            print(
                f"| {name} | {median:.3f} | {min(found):.3f} to {max(found):.3f} | "
                f"{samples / median:,.0f} | {first / median:.2f} |",
                flush=True,
            )
        for name in options.profile * list(steps):
            with profile(activities=[ProfilerActivity.CPU]) as profiler:
                steps[name]()
            print(f"\n{name}\n{profiler.key_averages().table('self_cpu_time_total', row_limit=14)}")


if __name__ == "__main__":
    main()
