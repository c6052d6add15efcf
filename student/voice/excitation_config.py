"""Configuration of a student's excitation."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class ExcitationConfig:
    """Excitation of a student beside its noise, and the range of the pitch.

    Args:
        kind: "none" as in the papers; "harmonic" for a sine and a cosine at the pitch; "voice" for
            sine, cosine and a filtered pulse train that is also added to the waveform.
        sample_rate: sample rate of the waveforms, Hz.
        fmin_hz: lowest pitch.
        fmax_hz: highest pitch.
        voice_order: number of taps of the pulses' filter, without the first tap.
        voice_channels: width of the layers that compute the voice's filters.
        filters_per_frame: filters per conditioning frame, for the pulses and for the noise.
        pitch_channels: number of channels that the context network has for the pitch, if the pitch
            is predicted. The predictor reads them without a voice, the voice's filters with one.
        breath: gain of the flow's output, the aperiodic noise, in frames with a voice when the
            student draws. With a gain below 1 the student sounds less rough. In training the gain
            is 1, because the flow would learn to compensate for any other gain.
        sharpness: when the student draws, the fine structure of a voice's log-spectrum is
            multiplied by 1 + sharpness. Tilt and broad shape do not change, and the gain is lowered
            so that the voice stays about as loud. The factor compensates for training, which learns
            an average of spectra that is too flat. In training the sharpness is 0.
    """

    kind: Literal["none", "harmonic", "voice"] = "none"
    sample_rate: int = 16000
    fmin_hz: float = 60.0
    fmax_hz: float = 400.0
    voice_order: int = 192
    voice_channels: int = 256
    filters_per_frame: int = 1
    pitch_channels: int = 128
    breath: float = 1.0
    sharpness: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ("none", "harmonic", "voice"):
            raise ValueError(
                f"student.excitation.kind is {self.kind!r}, expected 'none', 'harmonic' or 'voice'"
            )
        if not 0 < self.breath <= 1 or (self.breath < 1 and self.kind != "voice"):
            raise ValueError(
                f"student.excitation.breath is {self.breath}, expected more than 0, at most 1, and "
                "1 without a voice"
            )
        if not 0 <= self.sharpness <= 1 or (self.sharpness > 0 and self.kind != "voice"):
            raise ValueError(
                f"student.excitation.sharpness is {self.sharpness}, expected 0 to 1, and 0 without "
                "a voice"
            )
        for name in ("voice_order", "voice_channels", "filters_per_frame", "pitch_channels"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"student.excitation.{name} is {getattr(self, name)}, expected at least 1"
                )
        if not 0 < self.fmin_hz < self.fmax_hz <= self.sample_rate / 4:
            raise ValueError(
                f"student.excitation has fmin_hz {self.fmin_hz} and fmax_hz {self.fmax_hz}, "
                f"expected 0 < fmin_hz < fmax_hz <= a quarter of sample_rate {self.sample_rate}"
            )
