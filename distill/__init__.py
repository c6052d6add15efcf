"""The objective that lets a student learn from a teacher."""

from distill.health import HealthReport, check_health
from distill.kl import gaussian_kl, log_scale_regulariser
from distill.objective import Distillation, DistillationConfig
from distill.spectral import SpectralConfig, multi_resolution_stft, power_distance

__all__ = [
    "Distillation",
    "DistillationConfig",
    "HealthReport",
    "SpectralConfig",
    "check_health",
    "gaussian_kl",
    "log_scale_regulariser",
    "multi_resolution_stft",
    "power_distance",
]
