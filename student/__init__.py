"""The student: a stack of inverse autoregressive flows that draws a waveform in parallel."""

from typing import TYPE_CHECKING

from storage.on_demand import on_demand

if TYPE_CHECKING:
    from student.config import StudentConfig
    from student.export import StreamingStudent, WholeStudent
    from student.model import Student
    from student.sample import StudentSample
    from student.voice.excitation import ExcitedContext
    from student.voice.excitation_config import ExcitationConfig
    from student.voice.pitch_predictor import MeasuredVoice, Pitch
    from student.voice.source import Envelope
else:
    __getattr__ = on_demand(__name__)

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
