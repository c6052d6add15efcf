"""The teacher: a WaveNet as a masked autoregressive flow."""

from teacher.config import TeacherConfig
from teacher.model import Teacher
from teacher.objective import noise_like, sixteen_bit_log_prob, training_log_probs
from teacher.prediction import Prediction

__all__ = [
    "Prediction",
    "Teacher",
    "TeacherConfig",
    "noise_like",
    "sixteen_bit_log_prob",
    "training_log_probs",
]
