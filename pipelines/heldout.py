"""Measures on whole held-out utterances."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from data import MelConfig, log_mel
from flows.transforms.transformers import share_at_floor
from pipelines.frame_gaussians import frame_energy_nll, oracle_lpc_nll
from student import Student
from teacher import Teacher, sixteen_bit_log_prob

LN2 = math.log(2.0)
BITS_OF_SAMPLE_STEP = 15.0  # [-1, 1] in 16-bit steps: densities per step are 2^15 smaller


@dataclass(frozen=True)
class Utterance:
    """A recording with its features, as measures want it: one utterance, batch of one."""

    name: str
    waveform: Tensor  # (1, 1, T), dithered
    log_mel: Tensor  # (1, num_mels, L), and below it pitch and speakers, if models are given them


def bits_per_sample(nats: float) -> float:
    """Bits to code a 16-bit sample, from a density's nats per sample in [-1, 1]."""
    return nats / LN2 + BITS_OF_SAMPLE_STEP


@torch.no_grad()
def teacher_nll(teacher: Teacher, utterances: Iterable[Utterance]) -> float:
    """Exact negative log-likelihood over whole utterances, nats per sample."""
    nats, samples = 0.0, 0
    for utterance in utterances:
        nats -= float(teacher.log_prob(utterance.waveform, utterance.log_mel))
        samples += utterance.waveform.numel()
    return nats / samples


@torch.no_grad()
def teacher_bits(teacher: Teacher, utterances: Iterable[Utterance]) -> float:
    """Bits to code a 16-bit sample by a mixture's probabilities of 16-bit steps, no density."""
    nats, samples = 0.0, 0
    for utterance in utterances:
        nats -= float(sixteen_bit_log_prob(teacher, utterance.waveform, utterance.log_mel))
        samples += utterance.waveform.numel()
    return nats / samples / LN2


@torch.no_grad()
def floor_share(teacher: Teacher, utterance: Utterance) -> float:
    """Share of an utterance's log-scales at the floor; see `share_at_floor`."""
    params = teacher.prediction(utterance.waveform, utterance.log_mel).params
    log_stds = teacher.distribution.component_log_stds(params)
    return share_at_floor(log_stds, teacher.config.log_scale_floor)


def baseline_nll(
    utterances: Iterable[Utterance], frame_length: int, log_scale_floor: float
) -> dict[str, float]:
    """Nats per sample of the two baselines on the same utterances.

    Args:
        utterances: those the teacher is measured on.
        frame_length: samples per frame of both baselines.
        log_scale_floor: the teacher's.
    Returns:
        `frame_energy` and `oracle_lpc`; nothing if no utterance lasts a frame.
    """
    frames: dict[str, list[Tensor]] = {"frame_energy": [], "oracle_lpc": []}
    for utterance in utterances:
        waveform = utterance.waveform[0, 0].cpu()
        if len(waveform) < frame_length:
            continue
        frames["frame_energy"].append(frame_energy_nll(waveform, frame_length, log_scale_floor))
        frames["oracle_lpc"].append(oracle_lpc_nll(waveform, frame_length, log_scale_floor))
    return {name: float(torch.cat(values).mean()) for name, values in frames.items() if values}


def log_mel_distance(first: Tensor, second: Tensor, config: MelConfig) -> Tensor:
    """Mean absolute difference of two waveforms' log-mel frames, (B, 1, T) each, one scalar."""
    return (log_mel(first, config) - log_mel(second, config)).abs().mean()


def shuffled_frames(features: Tensor, seed: int) -> Tensor:
    """Return the same frames (B, M, L) in random order: a conditioning that says nothing."""
    order = torch.randperm(features.shape[-1], generator=torch.Generator().manual_seed(seed))
    return features[..., order.to(features.device)]


@torch.no_grad()
def student_following(
    student: Student, utterances: Iterable[Utterance], config: MelConfig, seed: int
) -> dict[str, float]:
    """Measure whether a student's samples follow their conditioning.

    Args:
        student: what to sample.
        utterances: held-out recordings.
        config: mel convention of the distance.
        seed: of noise and shuffling.
    Returns:
        `log_mel_distance` between recording and sample, the same for a sample made from the
        frames in random order (`shuffled_log_mel_distance`), their `following_ratio` (at most 0.5
        when the student follows) and `std_ratio`, sample over recording.
    """
    matched, shuffled, frames = 0.0, 0.0, 0
    energy_sample, energy_recording = 0.0, 0.0
    for i, utterance in enumerate(utterances):
        device, weight = utterance.waveform.device, utterance.log_mel.shape[-1]
        generator = torch.Generator(device).manual_seed(seed + i)
        sample = student.sample(utterance.log_mel, generator=generator)
        wrong = student.sample(shuffled_frames(utterance.log_mel, seed + i), generator=generator)
        matched += weight * float(log_mel_distance(sample, utterance.waveform, config))
        shuffled += weight * float(log_mel_distance(wrong, utterance.waveform, config))
        frames += weight
        energy_sample += float(sample.double().square().sum())
        energy_recording += float(utterance.waveform.double().square().sum())
    return {
        "log_mel_distance": matched / frames,
        "shuffled_log_mel_distance": shuffled / frames,
        "following_ratio": matched / shuffled,
        "std_ratio": math.sqrt(energy_sample / energy_recording),
    }
