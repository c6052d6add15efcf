"""Configuration of a student."""

import math
from dataclasses import dataclass, field
from typing import Literal

from flows import (
    LOG_SCALE_FLOOR,
    StandardLogistic,
    StandardNormal,
    WaveNetConfig,
    check_conditioning,
)
from student.voice.excitation_config import ExcitationConfig

LONGEST_FRAME = 1024
"""Largest frame length, in samples. A frame's covariance is a square matrix of this size."""

BASES: dict[str, type[StandardNormal] | type[StandardLogistic]] = {
    "gaussian": StandardNormal,
    "logistic": StandardLogistic,
}


@dataclass(frozen=True, kw_only=True)
class StudentConfig:
    """Configuration of a student.

    Args:
        num_mels: bands of the log-mel conditioning.
        conditioning: "mel", or "none" for an unconditional model, which ignores the values of the
            frames and reads only their number.
        pitch: whether each frame has two rows below the bands: pitch (log2 of Hz) and voicing
            (0 or 1) at the frame's end. The pipeline sets this flag from the recipe's `data.pitch`.
        num_speakers: number of one-hot speaker rows, below bands and pitch. The pipeline sets this
            number from the corpus.
        hop_length: samples per mel frame.
        context_channels: width of the context network.
        context_margin: mel frames seen before and after each frame.
        frame_length: samples r that are drawn together. 1 is the papers' student. With r > 1 the
            student is a frame student: its networks run over frames of r samples, r times less
            often.
        flow_layers: layers of each flow's network, noise side first. Parallel WaveNet has
            10, 10, 10, 30; ClariNet has six flows of 10.
        layers_per_cycle: layers of a cycle. The dilation doubles from 1 within a cycle, then starts
            again.
        kernel_size: taps of each dilated convolution.
        residual_channels: width of every network.
        filter_order: taps of a causal filter after the last flow; 0 for no filter, as in the
            papers. The filter's log-spectrum is linear in the context. With a voice, the voice's
            network computes the filter.
        initial_std: standard deviation of the untrained student's samples. The training pipeline
            sets it from the corpus.
        log_scale_floor: lower bound of each flow's log-scale, nats.
        excitation: excitation of the student, in addition to its noise, with any frame_length. The
            pitch of the excitation is predicted from the conditioning, or the conditioning contains
            it.
        base: distribution of the noise, and of each sample given the earlier noise: "gaussian" as
            in ClariNet, or "logistic" as in Parallel WaveNet.
    """

    num_mels: int = 80
    conditioning: Literal["mel", "none"] = "mel"
    pitch: bool = False
    num_speakers: int = 0
    hop_length: int = 256
    context_channels: int = 64
    context_margin: int = 2
    frame_length: int = 1
    flow_layers: tuple[int, ...] = (10, 10, 10, 30)
    layers_per_cycle: int = 10
    kernel_size: int = 3
    residual_channels: int = 64
    filter_order: int = 0
    initial_std: float = 0.1
    log_scale_floor: float = LOG_SCALE_FLOOR
    excitation: ExcitationConfig = field(default_factory=ExcitationConfig)
    base: Literal["gaussian", "logistic"] = "gaussian"

    def __post_init__(self) -> None:
        check_conditioning("student", self.conditioning, self.pitch, self.num_speakers)
        if self.base not in BASES:
            raise ValueError(
                f"student.base is {self.base!r}, expected one of {', '.join(map(repr, BASES))}"
            )
        for name in ("num_mels", "hop_length", "context_channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"student.{name} is {getattr(self, name)}, expected at least 1")
        if not 1 <= self.frame_length <= LONGEST_FRAME or self.hop_length % self.frame_length:
            raise ValueError(
                f"student.frame_length is {self.frame_length}, expected a divisor of the hop of "
                f"{self.hop_length} samples, at most {LONGEST_FRAME}"
            )
        if self.frame_length > 1 and self.base != "gaussian":
            raise ValueError(
                f"student.base is {self.base!r}, expected 'gaussian' where frame_length is more "
                f"than 1, here {self.frame_length}: what is mixed within a frame stays Gaussian "
                "alone"
            )
        steps = self.hop_length // self.frame_length
        if self.excitation.kind == "voice" and steps % self.excitation.filters_per_frame:
            raise ValueError(
                f"student.excitation.filters_per_frame is {self.excitation.filters_per_frame}, "
                f"expected a divisor of the {steps} steps of a conditioning frame"
            )
        if self.filter_order < 0:
            raise ValueError(f"student.filter_order is {self.filter_order}, expected at least 0")
        if not self.flow_layers:
            raise ValueError("student.flow_layers is empty, expected one number of layers per flow")
        least = BASES[self.base].std * math.exp(self.log_scale_floor)
        if not self.initial_std > least:
            raise ValueError(
                f"student.initial_std is {self.initial_std}, expected more than {least:.2g}, that "
                "of the scale's floor"
            )

    @property
    def num_features(self) -> int:
        """Number of rows of a conditioning frame."""
        return self.num_mels + 2 * self.pitch + self.num_speakers

    @property
    def pitch_row(self) -> int | None:
        """Row of the pitch in a conditioning frame, or None; the next row is the voicing."""
        return self.num_mels if self.pitch else None

    @property
    def predicts_pitch(self) -> bool:
        """Whether the student has an excitation and must predict its pitch."""
        return self.excitation.kind != "none" and not self.pitch

    @property
    def samples_per_hidden_frame(self) -> int:
        """Samples per hidden frame: `hop_length`, or `frame_length` if there is an excitation."""
        return self.hop_length if self.excitation.kind == "none" else self.frame_length

    @property
    def wavenets(self) -> tuple[WaveNetConfig, ...]:
        """Size of each flow's network, noise side first."""
        return tuple(
            WaveNetConfig(
                num_layers=layers,
                layers_per_cycle=self.layers_per_cycle,
                kernel_size=self.kernel_size,
                residual_channels=self.residual_channels,
                skip_channels=0,
            )
            for layers in self.flow_layers
        )
