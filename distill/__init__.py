"""The objective by which a student learns from a teacher."""

from typing import TYPE_CHECKING

from storage.on_demand import on_demand

if TYPE_CHECKING:
    from distill.config import DistillationConfig
    from distill.health import HealthReport, check_health
    from distill.initialisation import initialise_context
    from distill.losses.adversarial import AdversarialConfig, Adversary, at_rest
    from distill.losses.crepe import CrepeFeatures
    from distill.losses.divergence import divergence
    from distill.losses.forward_kl import forward_kl
    from distill.losses.kl import contrastive_kl, gaussian_kl, log_scale_regulariser
    from distill.losses.monte_carlo import monte_carlo_kl
    from distill.losses.perceptual import (
        PerceptualConfig,
        TeacherFeatures,
        feature_distance,
        gram_matrix,
        style_distance,
    )
    from distill.losses.spectral import (
        SpectralConfig,
        multi_resolution_stft,
        power_distance,
        stft_power_loss,
    )
    from distill.objective import Distillation
else:
    __getattr__ = on_demand(__name__)

__all__ = [
    "AdversarialConfig",
    "Adversary",
    "CrepeFeatures",
    "Distillation",
    "DistillationConfig",
    "HealthReport",
    "PerceptualConfig",
    "SpectralConfig",
    "TeacherFeatures",
    "at_rest",
    "check_health",
    "contrastive_kl",
    "divergence",
    "feature_distance",
    "forward_kl",
    "gaussian_kl",
    "gram_matrix",
    "initialise_context",
    "log_scale_regulariser",
    "monte_carlo_kl",
    "multi_resolution_stft",
    "power_distance",
    "stft_power_loss",
    "style_distance",
]
