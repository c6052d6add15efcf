"""The health of a teacher that reads its own samples, which no likelihood measures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from data import MelConfig
from dsp.levels import level_in_silence
from pipelines.evaluation.distances import level_ratio
from pipelines.heldout import Utterance, log_mel_distance
from teacher import Teacher

HEALTHY_LEVELS = (0.7, 1.4)
"""Range of RMS ratios, teacher's samples over recording, that gives no warning."""

HIGHEST_PEAK = 1.5
"""Largest absolute sample that gives no warning; full scale is 1."""

LOUDEST_SILENCE_DBFS = -50.0
"""Highest level, where the recording is silent, that gives no warning; dBFS."""

FARTHEST_LOG_MEL = 0.8
"""Largest log-mel distance to the recording that gives no warning; noise of the right spectral
envelope has a distance of 1."""


@dataclass(frozen=True)
class FreeRunning:
    """A teacher's samples for held-out utterances, and measurements of the samples.

    Args:
        values: measurements by name. `peak` and `log_mel_distance` are always there. If a recording
            is not digital silence, there are `level_ratio` (mean), `lowest_level_ratio` and
            `highest_level_ratio`. If a recording has silent parts, there is `silence_dbfs`.
        warnings: one sentence for each value that is out of bounds.
        audio: the sample of each utterance, shape (1, T).
    """

    values: dict[str, float]
    warnings: tuple[str, ...]
    audio: tuple[Tensor, ...]


@torch.no_grad()
def free_running(
    teacher: Teacher, utterances: Sequence[Utterance], mel: MelConfig, seed: int
) -> FreeRunning:
    """Sample utterances from their log-mel and compare the samples with the recordings.

    Args:
        teacher: the model to sample.
        utterances: held-out recordings, at least one.
        mel: convention of the log-mel distance.
        seed: seed of the noise; utterance i is drawn with seed + i.
    """
    levels, peaks, distances, silences, audio = [], [], [], [], []
    for i, utterance in enumerate(utterances):
        generator = torch.Generator(utterance.log_mel.device).manual_seed(seed + i)
        sample = teacher.sample(utterance.log_mel, generator=generator)
        level = level_ratio(sample, utterance.waveform)
        levels += [] if level is None else [level]
        peaks.append(float(sample.abs().max()))
        # A teacher that runs away may draw values for which a log-mel cannot be computed.
        within = sample.nan_to_num().clamp(-10, 10)
        distances.append(float(log_mel_distance(within, utterance.waveform, mel)))
        silence = level_in_silence(within.double(), utterance.waveform.double(), mel.hop_length)
        silences += [] if silence is None else [silence]
        audio.append(within[0].cpu())
    values = {
        "peak": max(peaks),
        "log_mel_distance": sum(distances) / len(distances),
    }
    if levels:
        values["level_ratio"] = sum(levels) / len(levels)
        values["lowest_level_ratio"] = min(levels)
        values["highest_level_ratio"] = max(levels)
    if silences:
        values["silence_dbfs"] = sum(silences) / len(silences)
    return FreeRunning(values, tuple(_alarms(values)), tuple(audio))


def _alarms(values: dict[str, float]) -> list[str]:
    alarms = []
    lowest = values.get("lowest_level_ratio", 1.0)
    highest = values.get("highest_level_ratio", 1.0)
    least, most = HEALTHY_LEVELS
    if not (math.isfinite(highest) and highest <= most and values["peak"] <= HIGHEST_PEAK):
        alarms.append(
            f"running free, the teacher draws up to {highest:.2f} times the recording's level, "
            f"with peaks of {values['peak']:.2f}: it runs away (up to {most} and {HIGHEST_PEAK} is "
            "healthy); try more past_noise, or more steps"
        )
    if lowest < least:
        alarms.append(
            f"running free, the teacher draws {lowest:.2f} times the recording's level: it fades "
            f"({least} or more is healthy)"
        )
    if values["log_mel_distance"] > FARTHEST_LOG_MEL:
        alarms.append(
            f"running free, the teacher's log-mel is {values['log_mel_distance']:.2f} from the "
            f"recording's: noise rather than speech (up to {FARTHEST_LOG_MEL} is healthy)"
        )
    if values.get("silence_dbfs", -math.inf) > LOUDEST_SILENCE_DBFS:
        alarms.append(
            f"running free, the teacher fills silence with {values['silence_dbfs']:.0f} dBFS: it "
            f"hisses (up to {LOUDEST_SILENCE_DBFS:.0f} is healthy)"
        )
    return alarms
