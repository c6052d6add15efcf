"""The teacher: a WaveNet as a masked autoregressive flow."""

from typing import TYPE_CHECKING

from storage.on_demand import on_demand

if TYPE_CHECKING:
    from teacher.config import TeacherConfig
    from teacher.model import Teacher
    from teacher.objective import noise_like, sixteen_bit_log_prob, training_log_probs
    from teacher.prediction import Prediction
else:
    __getattr__ = on_demand(__name__)

__all__ = [
    "Prediction",
    "Teacher",
    "TeacherConfig",
    "noise_like",
    "sixteen_bit_log_prob",
    "training_log_probs",
]
