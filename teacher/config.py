"""Configuration of a teacher."""

import math
from dataclasses import dataclass, field
from typing import Literal

from flows import LOG_SCALE_FLOOR, WaveNetConfig, check_conditioning

LARGEST_ORDER = 4096
"""Largest order of a linear predictor, in samples."""


@dataclass(frozen=True, kw_only=True)
class TeacherConfig:
    """Configuration of a teacher.

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
        wavenet: size of the causal network.
        log_scale_floor: lower bound, in nats, of the log standard deviation of a Gaussian, or of
            each component of a mixture. With a predictor, it bounds the prediction errors'.
        distribution: distribution of each sample given the earlier samples: "gaussian", or
            "mixture" for a mixture of logistics. If frame_length is above 1, a whole frame is
            Gaussian with a full covariance, or each sample of a frame has its own mixture.
        num_components: logistics in the mixture.
        discretised: whether training maximises the probability of 16-bit steps instead of the
            density. Needs "mixture", filter_order 0 and past_noise 0.
        frame_length: number of samples r that the network predicts at once from the earlier frames;
            a divisor of hop_length. Parallel WaveNet and ClariNet have 1.
        filter_order: order of a linear predictor, in past samples; 0 for no predictor. The
            predictor's coefficients and gain come from the context, and the network models the
            prediction errors.
        past_noise: largest level of the noise that training adds to the past, divided by the
            waveform's level. Predictor and network read the noisy past, and the level of the noise
            is an input of the network. A network that has learned from a perfect past diverges when
            it reads its own samples.
        assumed_noise: noise level that is the network's input when the model is used, from 0 to
            past_noise. A lower level gives cleaner samples, a higher level gives more stable
            samples.
        voiced_temperature: factor on the noise of voiced frames when waveforms are drawn; the
            factor does not change the density. If the factor is below 1, the model also learns to
            find voiced frames by the conditioning.
    """

    num_mels: int = 80
    conditioning: Literal["mel", "none"] = "mel"
    pitch: bool = False
    num_speakers: int = 0
    hop_length: int = 256
    context_channels: int = 64
    context_margin: int = 2
    wavenet: WaveNetConfig = field(default_factory=WaveNetConfig)
    log_scale_floor: float = LOG_SCALE_FLOOR
    distribution: Literal["gaussian", "mixture"] = "gaussian"
    num_components: int = 10
    discretised: bool = False
    frame_length: int = 1
    filter_order: int = 0
    past_noise: float = 0.0
    assumed_noise: float = 0.0
    voiced_temperature: float = 1.0

    def __post_init__(self) -> None:
        check_conditioning("teacher", self.conditioning, self.pitch, self.num_speakers)
        for name in ("num_mels", "hop_length", "context_channels", "num_components"):
            if getattr(self, name) < 1:
                raise ValueError(f"teacher.{name} is {getattr(self, name)}, expected at least 1")
        if self.distribution not in ("gaussian", "mixture"):
            raise ValueError(
                f"teacher.distribution is {self.distribution!r}, expected 'gaussian' or 'mixture'"
            )
        if self.discretised and self.distribution != "mixture":
            raise ValueError(
                f"teacher.discretised needs teacher.distribution 'mixture', got "
                f"{self.distribution!r}"
            )
        self._check_frames()

    def _check_frames(self) -> None:
        if self.frame_length < 1 or self.hop_length % self.frame_length:
            raise ValueError(
                f"teacher.frame_length is {self.frame_length}, expected a divisor of "
                f"teacher.hop_length {self.hop_length}"
            )
        if not 0 <= self.filter_order <= LARGEST_ORDER:
            raise ValueError(
                f"teacher.filter_order is {self.filter_order}, expected 0 to {LARGEST_ORDER}"
            )
        if self.frame_length > 1 and self.wavenet.prediction_order:
            raise ValueError(
                f"teacher.wavenet.prediction_order is {self.wavenet.prediction_order}, expected 0 "
                "where teacher.frame_length is above 1: filter_order predicts within a frame, too"
            )
        pitch = self.wavenet.pitch
        if pitch.longest_lag and (
            pitch.shortest_lag < self.frame_length
            or pitch.update % self.frame_length
            or self.hop_length % pitch.update
        ):
            raise ValueError(
                f"teacher.wavenet.pitch has shortest_lag {pitch.shortest_lag} and update "
                f"{pitch.update}, expected at least teacher.frame_length {self.frame_length}, and "
                f"a multiple of it that divides teacher.hop_length {self.hop_length}"
            )
        if not 0 <= self.past_noise < math.inf:
            raise ValueError(f"teacher.past_noise is {self.past_noise}, expected at least 0")
        if not 0 <= self.assumed_noise <= self.past_noise:
            raise ValueError(
                f"teacher.assumed_noise is {self.assumed_noise}, expected 0 to teacher.past_noise "
                f"{self.past_noise}"
            )
        if not 0 < self.voiced_temperature <= 1:
            raise ValueError(
                f"teacher.voiced_temperature is {self.voiced_temperature}, expected more than 0, "
                "at most 1"
            )
        if self.past_noise and self.discretised:
            raise ValueError(
                f"teacher.past_noise is {self.past_noise}, expected 0 where teacher.discretised is "
                "true"
            )
        if self.discretised and self.filter_order:
            raise ValueError(
                f"teacher.discretised is true, expected false where teacher.filter_order is above "
                f"0, got {self.filter_order}"
            )

    @property
    def num_features(self) -> int:
        """Number of rows of a conditioning frame."""
        return self.num_mels + 2 * self.pitch + self.num_speakers
