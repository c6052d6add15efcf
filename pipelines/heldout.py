"""Measures of models on whole held-out utterances."""

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
BITS_OF_SAMPLE_STEP = 15.0  # [-1, 1] has 2^16 steps of 2^-15; a step's mass is density / 2^15


@dataclass(frozen=True)
class Utterance:
    """A recording with its features, as a batch of one."""

    name: str
    waveform: Tensor  # (1, 1, T), dithered
    log_mel: Tensor  # (1, num_mels, L), then rows of pitch and speakers if models are given them


def bits_per_sample(nats: float) -> float:
    """Convert a density's nats per sample in [-1, 1] to bits for a 16-bit sample."""
    return nats / LN2 + BITS_OF_SAMPLE_STEP


@torch.no_grad()
def teacher_nll(teacher: Teacher, utterances: Iterable[Utterance]) -> float:
    """Return the exact negative log-likelihood of whole utterances, nats per sample."""
    nats, samples = 0.0, 0
    for utterance in utterances:
        nats -= float(teacher.log_prob(utterance.waveform, utterance.log_mel))
        samples += utterance.waveform.numel()
    return nats / samples


@torch.no_grad()
def teacher_bits(teacher: Teacher, utterances: Iterable[Utterance]) -> float:
    """Return the bits for a 16-bit sample, from a mixture's probabilities of 16-bit steps."""
    nats, samples = 0.0, 0
    for utterance in utterances:
        nats -= float(sixteen_bit_log_prob(teacher, utterance.waveform, utterance.log_mel))
        samples += utterance.waveform.numel()
    return nats / samples / LN2


@torch.no_grad()
def floor_share(teacher: Teacher, utterance: Utterance) -> float:
    """Return the share of log-scales at the floor; see `share_at_floor`."""
    params = teacher.prediction(utterance.waveform, utterance.log_mel).params
    log_stds = teacher.distribution.component_log_stds(params)
    return share_at_floor(log_stds, teacher.config.log_scale_floor)


def baseline_nll(
    utterances: Iterable[Utterance], frame_length: int, log_scale_floor: float
) -> dict[str, float]:
    """Return the nats per sample of two baselines, frame-wise Gaussian models.

    Args:
        utterances: the utterances on which the teacher is measured.
        frame_length: number of samples in the baselines' frames.
        log_scale_floor: the teacher's lower bound of log-scales, nats.
    Returns:
        `frame_energy` and `oracle_lpc`; nothing if all utterances are shorter than a frame.
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
    """Return the mean absolute difference of two waveforms' log-mels; both are (B, 1, T)."""
    return (log_mel(first, config) - log_mel(second, config)).abs().mean()


def shuffled_frames(features: Tensor, seed: int) -> Tensor:
    """Shuffle the frames (B, M, L), so that the conditioning tells nothing about the time."""
    order = torch.randperm(features.shape[-1], generator=torch.Generator().manual_seed(seed))
    return features[..., order.to(features.device)]


@torch.no_grad()
def student_following(
    student: Student, utterances: Iterable[Utterance], config: MelConfig, seed: int
) -> dict[str, float]:
    """Measure whether a student's samples follow their conditioning.

    Args:
        student: the model to sample.
        utterances: held-out recordings.
        config: convention of the log-mel distance.
        seed: seed of noise and shuffling.
    Returns:
        `log_mel_distance` between recording and sample; `shuffled_log_mel_distance` between
        recording and a sample made from shuffled frames; `following_ratio`, the first over the
        second, at most 0.5 if the student follows; and `std_ratio`, the sample's standard
        deviation over the recording's.
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
