"""The student: a composition of inverse autoregressive flows that samples in parallel."""

from student.config import StudentConfig
from student.excitation import ExcitationConfig, ExcitedContext, Pitch
from student.export import StreamingStudent, WholeStudent
from student.model import Student, StudentSample

__all__ = [
    "ExcitationConfig",
    "ExcitedContext",
    "Pitch",
    "StreamingStudent",
    "Student",
    "StudentConfig",
    "StudentSample",
    "WholeStudent",
]
