"""The teacher: a WaveNet as a masked autoregressive flow."""

from teacher.model import Teacher, TeacherConfig

__all__ = ["Teacher", "TeacherConfig"]
