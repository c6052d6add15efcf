"""Health checks that show a failing distillation long before the loss does."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from distill.objective import Distillation
from dsp.levels import SILENT_DBFS, level_in_silence
from flows.transforms.transformers import share_at_floor


@dataclass(frozen=True)
class HealthReport:
    """Measures of one held-out batch, and warnings about measures that are out of bounds."""

    values: dict[str, float]
    warnings: tuple[str, ...]


@torch.no_grad()
def check_health(
    objective: Distillation, noise: Tensor, log_mel: Tensor, recording: Tensor
) -> HealthReport:
    """Measure a student on one held-out batch.

    Args:
        objective: student, teacher and weights.
        noise: noise from the student's base, shape (B, 1, T).
        log_mel: conditioning of the batch.
        recording: the batch's waveforms, shape (B, 1, T).
    Returns:
        values by name, and a warning for each value that is out of bounds. The values are:

        * `std_ratio`: standard deviation of the samples, divided by the standard deviation of the
          recordings. A student with a low ratio whispers.
        * `floor_share`: share of the samples whose log-scale is at the floor; see
          `flows.transforms.transformers.share_at_floor`.
        * `silence_dbfs`: level of the sample in frames where the recording is silent; absent if the
          recording has no silent frame.
        * `context_gap`: (wrong - right) / |right|, where right is the loss under the clip's own
          context and wrong is the loss under another clip's context. The gap is near 0 if the
          student ignores its context. It is absent for a batch of one clip.
        * `flow_K_log_scale_mean`, `flow_K_log_scale_std`: mean and standard deviation of the
          log-scale of flow K in nats. Flow 0 is nearest to the noise. If there is a filter, its
          log-gain counts as the last flow.
    """
    sample = objective.student(noise, log_mel)
    hop, floor = objective.student.config.hop_length, objective.student.config.log_scale_floor
    values = {
        "std_ratio": float(sample.waveform.std() / recording.std()),
        "floor_share": share_at_floor(sample.log_scale, floor),
    }
    for k, log_scale in enumerate(sample.flow_log_scales):
        values[f"flow_{k}_log_scale_mean"] = float(log_scale.mean())
        values[f"flow_{k}_log_scale_std"] = float(log_scale.std())
    level = level_in_silence(sample.waveform, recording, hop)
    if level is not None:
        values["silence_dbfs"] = level
    right = float(objective.score(sample, log_mel, recording)["loss"])
    if log_mel.shape[0] > 1:
        other = log_mel.roll(1, 0)
        wrong = float(objective.score(objective.student(noise, other), other, recording)["loss"])
        values["context_gap"] = (wrong - right) / abs(right)
    return HealthReport(values, tuple(_alarms(values)))


def _alarms(values: dict[str, float]) -> list[str]:
    alarms = []
    if not math.isfinite(values["std_ratio"]) or not 0.5 <= values["std_ratio"] <= 1.5:
        alarms.append(
            f"samples have {values['std_ratio']:.2f} times the recordings' deviation (0.5 to 1.5 "
            "is healthy): a quiet student whispers, raise power_weight"
        )
    if values["floor_share"] > 0.5:
        alarms.append(
            f"{values['floor_share']:.0%} of log-scales are at the floor: the student has "
            "collapsed to a deterministic function"
        )
    if values.get("silence_dbfs", -math.inf) > SILENT_DBFS + 20:
        alarms.append(
            f"silence is filled with noise at {values['silence_dbfs']:.0f} dBFS: the student hisses"
        )
    if values.get("context_gap", math.inf) < 0.05:
        alarms.append(
            f"another clip's context changes the loss by only {values['context_gap']:.1%}: the "
            "student ignores its context"
        )
    return alarms
