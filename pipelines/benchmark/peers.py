"""What the benchmark times beside teacher and student: an export, the equaliser, other vocoders."""

import copy
import importlib.util
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from data import MelConfig
from data.corpora.synthetic import speech_like
from dsp.griffin_lim import griffin_lim
from pipelines.benchmark.flops import student_flops
from pipelines.benchmark.samplers import System
from pipelines.commands.export import PACKAGES, metadata, trace, write_onnx
from pipelines.evaluation.packages import world_resynthesis
from pipelines.workspace import equaliser_of
from student import Student, WholeStudent

VOCOS_RATE, VOCOS_HOP = 24000, 256
VOCOS_SIZE = {"input_channels": 100, "dim": 512, "intermediate_dim": 1536, "num_layers": 8}
"""Sizes of the published mel-conditioned model at 24 kHz. arXiv:2306.00814"""


def installed(*packages: str) -> bool:
    """Whether all of these packages are installed."""
    return all(importlib.util.find_spec(name) is not None for name in packages)


def peer_systems(student: Student, frames: Tensor, mel: MelConfig) -> list[System]:
    """List other ways from the log-mel to audio whose packages are installed.

    Args:
        student: the model that is exported; it stays unchanged.
        frames: log-mel, shape (1, num_mels, L).
        mel: convention of the log-mel.
    Returns:
        the exported student (onnxruntime), the equaliser of drawn waveforms, Griffin-Lim, WORLD
        (analysis and synthesis of a recording of the log-mel's length) and Vocos (random weights of
        the published size, for the log-mel's duration).
    """
    samples, threads = frames.shape[-1] * mel.hop_length, torch.get_num_threads()
    array = frames[0, : mel.num_mels].cpu().numpy()  # without pitch rows
    draws: dict[str, Callable[[], object]] = {}
    is_plain = student.config.excitation.kind == "none"
    if installed(*PACKAGES) and is_plain and frames.device.type == "cpu":
        draws["student, exported to ONNX"] = onnx_draw(student, frames, mel)
    equaliser = equaliser_of(student, mel)
    if equaliser is not None:
        drawn = 0.1 * torch.randn(1, 1, samples, device=frames.device)
        draws["equaliser alone"] = lambda: equaliser(drawn, frames)
    draws["griffin-lim, 32 iterations"] = lambda: griffin_lim(array, mel)
    if installed("pyworld"):
        # For noise, which has no pitch, WORLD takes half as long as for speech.
        recording = speech_like(samples, mel.sample_rate, np.random.default_rng(0))
        draws["world, analysis and synthesis"] = lambda: world_resynthesis(
            recording, mel.sample_rate
        )
    if installed("vocos"):
        draws["vocos, random weights, 24 kHz"] = vocos_draw(
            samples / mel.sample_rate, frames.device
        )
    return [
        System(
            name=name,
            draw=draw,
            num_samples=samples,
            threads=1 if name.startswith("world") else threads,
            flops=student_flops(student.config) if name.startswith("student") else 0.0,
        )
        for name, draw in draws.items()
    ]


def onnx_draw(student: Student, frames: Tensor, mel: MelConfig) -> Callable[[], object]:
    """Export a student, and return a function that draws noise and runs the export on it."""
    import onnxruntime

    network = WholeStudent(copy.deepcopy(student))
    written = write_onnx(trace(network, student.config), metadata(student.config, mel, network))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(written, options, ["CPUExecutionProvider"])
    log_mel, generator = frames.numpy(), np.random.default_rng(0)
    shape = (frames.shape[0], 1, frames.shape[-1] * mel.hop_length)

    def draw() -> object:
        noise = generator.standard_normal(shape, np.float32)
        return session.run(None, {"noise": noise, "log_mel": log_mel})

    return draw


def vocos_draw(seconds: float, device: torch.device) -> Callable[[], object]:
    """Return a function that draws audio with a Vocos of the published size and random weights."""
    from vocos.heads import ISTFTHead
    from vocos.models import VocosBackbone

    backbone = VocosBackbone(**VOCOS_SIZE).eval().to(device)
    head = ISTFTHead(VOCOS_SIZE["dim"], n_fft=1024, hop_length=VOCOS_HOP).eval().to(device)
    features = torch.randn(
        1, VOCOS_SIZE["input_channels"], round(seconds * VOCOS_RATE / VOCOS_HOP), device=device
    )

    @torch.no_grad()
    def draw() -> Tensor:
        return head(backbone(features))

    return draw
