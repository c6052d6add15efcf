"""The student: a composition of inverse autoregressive flows that samples in parallel."""

from student.model import Student, StudentConfig, StudentSample

__all__ = ["Student", "StudentConfig", "StudentSample"]
