"""The student: a stack of inverse autoregressive flows that draws a waveform in parallel."""

from student.config import StudentConfig
from student.export import StreamingStudent, WholeStudent
from student.model import Student
from student.sample import StudentSample
from student.voice.excitation import ExcitationConfig, ExcitedContext
from student.voice.pitch_predictor import MeasuredVoice, Pitch
from student.voice.source import Envelope

__all__ = [
    "Envelope",
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
