"""The student: a composition of inverse autoregressive flows that samples in parallel."""

from student.config import StudentConfig
from student.excitation import ExcitationConfig, ExcitedContext
from student.export import StreamingStudent, WholeStudent
from student.model import Student, StudentSample
from student.pitch import MeasuredVoice, Pitch

__all__ = [
    "ExcitationConfig",
    "ExcitedContext",
    "MeasuredVoice",
    "Pitch",
    "StreamingStudent",
    "Student",
    "StudentConfig",
    "StudentSample",
    "WholeStudent",
]
