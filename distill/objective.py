"""What the student minimises: divergence from the teacher, and distance from the recording."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from distill.kl import gaussian_kl, log_scale_regulariser
from distill.spectral import SpectralConfig, multi_resolution_stft, power_distance
from student import Student, StudentSample
from teacher import Teacher


@dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """Weights of the objective's terms.

    Args:
        kl_weight: weight of KL(student || teacher), nats per sample.
        regulariser_weight: ClariNet's lambda on the squared difference of log-scales, inside the
            KL term.
        spectral_weight: weight of the multi-resolution STFT distance.
        power_weight: weight of the distance of time-averaged power spectra.
        spectral: its resolutions.
    """

    kl_weight: float = 0.5
    regulariser_weight: float = 4.0
    spectral_weight: float = 1.0
    power_weight: float = 1.0
    spectral: SpectralConfig = field(default_factory=SpectralConfig)

    def __post_init__(self) -> None:
        for name in ("kl_weight", "regulariser_weight", "spectral_weight", "power_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"distillation.{name} is {getattr(self, name)}, expected >= 0")
        if self.kl_weight == self.spectral_weight == self.power_weight == 0:
            raise ValueError("distillation: every weight is 0, nothing to minimise")


class Distillation(nn.Module):
    """The distillation objective of a student and a frozen teacher.

    Args:
        student: trained.
        teacher: scores the student's samples; frozen, in eval mode, and never given the
            recording. Gradients flow through its input.
        config: weights of the terms.
    Raises:
        ValueError: if teacher and student disagree on the conditioning.
    """

    def __init__(self, student: Student, teacher: Teacher, config: DistillationConfig) -> None:
        super().__init__()
        for name in ("num_mels", "hop_length", "context_margin"):
            ours, theirs = getattr(student.config, name), getattr(teacher.config, name)
            if ours != theirs:
                raise ValueError(f"student.{name} is {ours}, but the teacher's is {theirs}")
        self.student = student
        self.teacher = teacher.requires_grad_(False).eval()
        self.config = config

    def train(self, mode: bool = True) -> "Distillation":
        """Set the student's mode; the teacher stays in eval mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, noise: Tensor, log_mel: Tensor, recording: Tensor) -> dict[str, Tensor]:
        """Draw a sample and score it.

        Args:
            noise: standard normal, shape (B, 1, T).
            log_mel: conditioning, shape (B, num_mels, L) or with margins.
            recording: the waveform the conditioning was computed from, shape (B, 1, T).
        Returns:
            scalars by name: `loss`, and its terms, unweighted.
        """
        return self.score(self.student(noise, log_mel), log_mel, recording)

    def score(self, sample: StudentSample, log_mel: Tensor, recording: Tensor) -> dict[str, Tensor]:
        """Score a drawn sample; as `forward`."""
        terms = self._kl_terms(sample, log_mel) | _spectral_terms(
            sample.waveform, recording, self.config.spectral
        )
        kl = terms["kl"] + self.config.regulariser_weight * terms["log_scale_regulariser"]
        spectral = terms["spectral_convergence"] + terms["log_magnitude"]
        loss = (
            self.config.kl_weight * kl
            + self.config.spectral_weight * spectral
            + self.config.power_weight * terms["power"]
        )
        return {"loss": loss, **terms}

    def _kl_terms(self, sample: StudentSample, log_mel: Tensor) -> dict[str, Tensor]:
        loc_p, log_scale_p = self.teacher.predict(sample.waveform, log_mel)
        # The teacher has not seen a clip's past: its first receptive field does not count, but
        # at least half of a clip shorter than two receptive fields does.
        start = min(self.teacher.receptive_field, sample.waveform.shape[-1] // 2)
        loc_q, log_scale_q = sample.loc, sample.log_scale
        # Squares of small scales: fp32 whatever the precision of the networks.
        q = (loc_q[..., start:].float(), log_scale_q[..., start:].float())
        p = (loc_p[..., start:].float(), log_scale_p[..., start:].float())
        return {
            "kl": gaussian_kl(*q, *p).mean(),
            "log_scale_regulariser": log_scale_regulariser(q[1], p[1]).mean(),
        }


def _spectral_terms(
    waveform: Tensor, recording: Tensor, config: SpectralConfig
) -> dict[str, Tensor]:
    with torch.autocast(waveform.device.type, enabled=False):
        pair = (waveform.float(), recording.float())
        convergence, log_magnitude = multi_resolution_stft(*pair, config)
        power = power_distance(*pair, config)
    return {
        "spectral_convergence": convergence,
        "log_magnitude": log_magnitude,
        "power": power,
    }
