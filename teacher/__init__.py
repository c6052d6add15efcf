"""The teacher: a WaveNet as a masked autoregressive flow."""

from teacher.config import TeacherConfig
from teacher.model import Teacher
from teacher.prediction import Prediction

__all__ = ["Prediction", "Teacher", "TeacherConfig"]
