"""Train frame students of several shapes for a few minutes each, alike but for one thing.

Run from the repository: python docs/results/frame/trials.py --dump dump/allison [--steps 400]

No excitation, no teacher: spectral terms alone, the same clips for all. The table has distances on
held-out utterances, and the speed of sampling on one thread in compiled code.
"""

import argparse
import dataclasses
import math
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from data import Manifest, SegmentSampler, log_mel
from distill import SpectralConfig, multi_resolution_stft
from flows import ChainWeights, Flow, Fold
from pipelines.recipe import TrainingConfig
from pipelines.training.schedule import learning_rate_at, seed_step
from pipelines.workspace import held_out
from student import Student, StudentConfig
from student.parts import make_steps
from student.steps import StudentTransform

BASE = StudentConfig(
    frame_length=32, flow_layers=(6,) * 4, layers_per_cycle=6, residual_channels=96
)
MEL_WEIGHT = 2.0


class Lapped(Fold):
    r"""A lapped orthogonal transform in place of folding: the MDCT, critically sampled.

    Samples on either side of a boundary between frames, k from it, are rotated by pairs,

    .. math:: b'_k = c_k b_k + s_k a_k, \quad a'_k = c_k a_k - s_k b_k, \qquad
              c_k = \sin\Big(\frac\pi4 + \frac{\pi (k + 1/2)}{2 r}\Big)

    then a DCT-IV turns each frame into its spectrum: all of it orthogonal, the log-determinant 0.

    References:
        Signal processing with lapped transforms (Malvar, 1992): the sine window.
    """

    def __init__(self, factor: int) -> None:
        super().__init__(factor)
        k = torch.arange(factor // 2) + 0.5
        angle = torch.pi / 4 + torch.pi * k / (2 * factor)
        self.register_buffer("cosines", angle.sin(), persistent=False)
        self.register_buffer("sines", angle.cos(), persistent=False)
        n = torch.arange(factor) + 0.5
        matrix = math.sqrt(2 / factor) * torch.cos(torch.pi / factor * torch.outer(n, n))
        self.register_buffer("matrix", matrix, persistent=False)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Transform (B, 1, T) into (B, r, T / r)."""
        folded, log_det = super().forward(x)
        return self.matrix @ self._lap(folded, 1.0), log_det

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Transform back."""
        return super().inverse(self._lap(self.matrix @ z, -1.0))

    def _lap(self, frames: Tensor, sign: float) -> Tensor:
        half = self.factor // 2
        before, after = frames[:, half:, :-1].flip(1), frames[:, :half, 1:]
        c, s = self.cosines[:, None], sign * self.sines[:, None]
        rotated = torch.cat([c * after + s * before, (c * before - s * after).flip(1)], 1)
        after, before = rotated.split(half, 1)
        first = torch.cat([frames[:, :half, :1], after], 2)
        return torch.cat([first, torch.cat([before, frames[:, half:, -1:]], 2)], 1)


def make(config: StudentConfig, is_lapped: bool, is_mixed: bool) -> Student:
    """Build an untrained student."""
    torch.manual_seed(0)
    student = Student(config)
    parts = student.parts
    if is_lapped:
        parts = parts._replace(fold=Lapped(config.frame_length))
    if not is_mixed:
        parts = parts._replace(rotations=[])
    student.parts = parts
    student.steps = make_steps(parts, student.transformer)
    student.flow = Flow(student.flow.base, StudentTransform(student.steps))
    student.chain_weights = ChainWeights(parts.networks, student.transformer, parts.rotations)
    return student


def waveforms(student: Student, mel: Tensor, frames: int) -> Tensor:
    """Draw with gradients, and without each sample's distribution."""
    z = torch.randn(mel.shape[0], 1, frames * student.config.hop_length)
    return student.flow.transform.inverse(z, student.frames_of(mel, frames))[0]


def distances(found: Tensor, wanted: Tensor, manifest: Manifest) -> tuple[Tensor, Tensor, Tensor]:
    """Spectral convergence, log-magnitude and log-mel distance."""
    convergence, magnitude = multi_resolution_stft(found, wanted, SpectralConfig())
    mels = [log_mel(x, manifest.mel) for x in (found, wanted)]
    return convergence, magnitude, (mels[0] - mels[1]).abs().mean()


def main() -> None:
    """Train all, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dump", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    options = parser.parse_args()
    torch.set_num_threads(1)
    manifest = Manifest.load(options.dump)
    training = TrainingConfig(max_steps=options.steps, warmup_steps=50, learning_rate=2e-3)
    sampler = SegmentSampler(
        manifest, batch_size=4, segment_frames=32, margin_frames=BASE.context_margin, seed=1
    )
    utterances = held_out(manifest, "val", 8, "cpu")
    corpus = manifest.statistics
    means = torch.tensor(corpus.mel_mean), torch.tensor(corpus.mel_std), corpus.waveform_std
    trials: dict[str, tuple[StudentConfig, bool, bool]] = {"base": (BASE, False, True)}
    for name, changes in {
        "frames of 16": {"frame_length": 16},
        "frames of 64": {"frame_length": 64},
        "64 channels": {"residual_channels": 64},
        "128 channels": {"residual_channels": 128},
        "2 flows": {"flow_layers": (6, 6)},
        "kernel of 2": {"kernel_size": 2},
        "filter of 32 taps after it": {"filter_order": 32},
    }.items():
        trials[name] = dataclasses.replace(BASE, **changes), False, True  # type: ignore[arg-type]
    trials["no rotations"] = BASE, False, False
    trials["lapped"] = BASE, True, True
    trials["lapped, no rotations"] = BASE, True, False
    print("| student | parameters | convergence | log-magnitude | log-mel | × real time |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, (config, is_lapped, is_mixed) in trials.items():
        student = make(config, is_lapped, is_mixed)
        student.set_statistics(*means)
        adam = torch.optim.Adam(student.parameters(), betas=(0.9, 0.98), fused=True)
        for step, batch in enumerate(sampler.iterate(0, options.steps)):
            adam.param_groups[0]["lr"] = learning_rate_at(step, training)
            seed_step(1, step, 0)
            found = waveforms(student, batch.log_mel, 32)
            convergence, magnitude, mel = distances(found, batch.waveform, manifest)
            adam.zero_grad()
            (convergence + magnitude + MEL_WEIGHT * mel).backward()
            torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            adam.step()
        student.eval()
        report(name, student, utterances, manifest)


@torch.no_grad()
def report(name: str, student: Student, utterances: Iterable, manifest: Manifest) -> None:
    """Print a row."""
    torch.manual_seed(0)
    found, times = [], []
    for utterance in utterances:
        waveform = waveforms(student, utterance.log_mel, utterance.log_mel.shape[-1])
        found.append([float(d) for d in distances(waveform, utterance.waveform, manifest)])
        mel = utterance.log_mel[..., :62].repeat(1, 1, 2)[..., :62]
        for _ in range(5):
            start = time.process_time()
            student.sample(mel)
            times.append(time.process_time() - start)
    seconds = 62 * student.config.hop_length / manifest.mel.sample_rate
    means = [statistics.mean(values) for values in zip(*found, strict=True)]
    size = sum(p.numel() for p in student.parameters() if p.requires_grad)
    shown = " | ".join(f"{mean:.3f}" for mean in means)
    print(f"| {name} | {size:,} | {shown} | {seconds / statistics.median(times):.1f} |", flush=True)


if __name__ == "__main__":
    main()
