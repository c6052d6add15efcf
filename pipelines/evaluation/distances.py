"""Distances between two time-aligned waveforms, or their pitch tracks: pure functions."""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from data import MelConfig, log_mel
from dsp.levels import SILENT_DBFS, frame_levels

Array = npt.NDArray[np.float64]

MCD_ORDER = 24
"""Highest mel-cepstral coefficient that is compared."""
OCTAVE_ERROR_CENTS = 600.0
"""A pitch farther off than this is another harmonic's, not an inaccurate one."""

LINE_WINDOW = 1024
"""Shortest window of the spectrum in which lines are sought, samples."""


def mel_cepstral_distortion(sample: Tensor, recording: Tensor, config: MelConfig) -> float | None:
    r"""Mel-cepstral distortion in dB, over the frames where the recording is not silent.

    .. math:: \frac{10}{\ln 10} \sqrt{2 \sum_{d=1}^{24} (c_d - \hat c_d)^2}

    The convention: c is the cepstrum of the convention's log-mel magnitudes,
    ln A(k) = c_0 + Σ_d c_d cos(π d (k + ½) / M) over its M bands. The level c_0 is left out; the
    two are time-aligned already, so nothing is warped. Values from cepstra of another kind (of
    WORLD's smooth envelope, say) are lower; compare within one table only.

    Args:
        sample: shape (1, 1, T).
        recording: same shape.
        config: the mel convention.
    Returns:
        mean over frames; None if every frame is silent.
    References:
        Kubichek, Mel-cepstral distance measure for objective speech quality assessment, 1993.
    """
    spoken = frame_levels(recording.double(), config.hop_length)[0] >= SILENT_DBFS
    if not spoken.any():
        return None
    difference = _log_magnitudes(sample, config) - _log_magnitudes(recording, config)
    bands = difference.shape[0]
    order = torch.arange(1, min(MCD_ORDER, bands - 1) + 1, dtype=torch.float64)
    angles = math.pi / bands * (torch.arange(bands, dtype=torch.float64) + 0.5)
    cepstrum = 2 / bands * torch.cos(order[:, None] * angles) @ difference
    distortion = 10 / math.log(10) * (2 * cepstrum.square().sum(0)).sqrt()
    return float(distortion[spoken].mean())


def _log_magnitudes(waveform: Tensor, config: MelConfig) -> Tensor:
    """Natural logarithm of mel magnitudes, shape (M, L), float64."""
    frames = log_mel(waveform.double(), config)[0]
    if config.log_base == "10":
        frames = frames * math.log(10)
    return frames / config.power


def pitch_errors(sample_hz: Array, recording_hz: Array) -> dict[str, float | None]:
    """Compare two pitch tracks, frame by frame; 0 Hz is unvoiced.

    Args:
        sample_hz: F0 in Hz, shape (N,).
        recording_hz: F0 in Hz of the reference, same shape.
    Returns:
        * `f0_rmse_cents`: over frames voiced in both, those beyond `OCTAVE_ERROR_CENTS` apart;
        * `f0_octave_errors`: the share of those beyond, in frames voiced in both;
        * `voicing_error`: share of all frames on whose voicing the two disagree.

        The first two are None where nothing is left to compare.
    """
    voiced = (sample_hz > 0) & (recording_hz > 0)
    disagreement = float(np.mean((sample_hz > 0) != (recording_hz > 0)))
    cents = 1200 * np.log2(sample_hz[voiced] / recording_hz[voiced])
    octave = np.abs(cents) > OCTAVE_ERROR_CENTS
    near = cents[~octave]
    return {
        "f0_rmse_cents": float(np.sqrt(np.mean(near**2))) if near.size else None,
        "f0_octave_errors": float(octave.mean()) if octave.size else None,
        "voicing_error": disagreement,
    }


def level_ratio(sample: Tensor, recording: Tensor) -> float | None:
    """RMS of the sample over that of the recording; None if that is digital silence."""
    wanted = recording.double().square().mean()
    return float((sample.double().square().mean() / wanted).sqrt()) if wanted else None


def frame_lines(waveform: Tensor, frame_length: int) -> float | None:
    """Return by how much the multiples of a model's frame rate stand out of the spectrum.

    A model that draws frames of r samples alike, whatever the sound, leaves stationary lines at
    multiples of sample_rate / r.

    Args:
        waveform: shape (1, 1, T).
        frame_length: samples in a frame, r.
    Returns:
        power of a line over that of its neighbours on either side, in dB, averaged over the lines;
        None if the waveform is shorter than one window, or r is 1.
    """
    bins = -(-LINE_WINDOW // frame_length)  # between two lines
    window = torch.hann_window(frame_length * bins, dtype=torch.float64)
    signal = waveform[0, 0].double()
    if frame_length < 2 or signal.numel() < window.numel():
        return None
    frames = signal.unfold(-1, window.numel(), window.numel() // 2)
    power = torch.fft.rfft(frames * window).abs().square().mean(0) + 1e-12
    lines = torch.arange(bins, (power.numel() - 1) // bins * bins, bins)
    if not lines.numel():
        lines = torch.tensor([bins])
    beside = torch.stack([power[lines + k] for k in (-5, -4, -3, 3, 4, 5)]).mean(0)
    return float(10 * (power[lines] / beside).log10().mean())
