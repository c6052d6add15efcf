"""Distances between two time-aligned waveforms, or between their pitch tracks."""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from data import MelConfig, log_mel
from dsp.levels import SILENT_DBFS, frame_levels

Array = npt.NDArray[np.float64]

MCD_ORDER = 24
"""Number of the highest mel-cepstral coefficient that is compared."""
OCTAVE_ERROR_CENTS = 600.0
"""Largest difference, in cents, of two pitches that are taken for the same pitch. Beyond it, one of
them is taken for the pitch of another harmonic, such as an octave."""

LINE_WINDOW = 1024
"""Shortest window of the spectrum in which lines are sought, samples."""
LINE_NEIGHBOURS = (-5, -4, -3, 3, 4, 5)
"""Distances, in bins, from a line to the bins it is compared with. The window spreads the line over
the bins in between."""


def mel_cepstral_distortion(sample: Tensor, recording: Tensor, config: MelConfig) -> float | None:
    r"""Compute the mel-cepstral distortion in dB, over frames where the recording is not silent.

    .. math:: \frac{10}{\ln 10} \sqrt{2 \sum_{d=1}^{24} (c_d - \hat c_d)^2}

    c is the cepstrum of the log-mel magnitudes: ln A(k) = c_0 + Σ_d c_d cos(π d (k + ½) / M) over
    M bands. The level c_0 is left out, and d ends at M - 1 if M is below 25. The waveforms are
    time-aligned, so there is no time warping. Cepstra of other spectra, such as WORLD's smooth
    envelope, give lower values: compare values within one table only.

    Args:
        sample: waveform, shape (1, 1, T).
        recording: waveform of the sample's shape.
        config: convention of the log-mel.
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
    """Return the natural logarithms of the mel magnitudes, shape (M, L), float64."""
    frames = log_mel(waveform.double(), config)[0]
    if config.log_base == "10":
        frames = frames * math.log(10)
    return frames / config.power


def pitch_errors(sample_hz: Array, recording_hz: Array) -> dict[str, float | None]:
    """Compare two pitch tracks frame by frame; an F0 of 0 Hz means unvoiced.

    Args:
        sample_hz: F0 in Hz, shape (N,).
        recording_hz: F0 of the reference in Hz, shape (N,).
    Returns:
        * `f0_rmse_cents`: RMS difference over frames that are voiced in both tracks, without
          octave errors;
        * `f0_octave_errors`: share of octave errors in frames that are voiced in both tracks; an
          octave error is a difference of more than `OCTAVE_ERROR_CENTS`;
        * `voicing_error`: share of all frames that are voiced in one track alone.

        The first two are None if no frame is voiced in both tracks. `f0_rmse_cents` is also None
        if all such frames are octave errors.
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
    """Return the sample's RMS over the recording's; None if the recording is digital silence."""
    wanted = recording.double().square().mean()
    return float((sample.double().square().mean() / wanted).sqrt()) if wanted else None


def frame_lines(waveform: Tensor, frame_length: int) -> float | None:
    """Measure how far the spectrum stands out at multiples of a model's frame rate.

    A model that draws frames of r samples may repeat a pattern in every frame, whatever the sound.
    The pattern shows as stationary lines at multiples of sample_rate / r.

    Args:
        waveform: shape (1, 1, T).
        frame_length: samples in a frame, r.
    Returns:
        power of a line over the power of its neighbours on either side, in dB, averaged over the
        lines; None if the waveform is shorter than one window, or if r is 1 or 2.
    """
    # Between two lines: so many that the neighbours of one are none of the next.
    bins = max(-(-LINE_WINDOW // frame_length), 2 * LINE_NEIGHBOURS[-1])
    window = torch.hann_window(frame_length * bins, dtype=torch.float64)
    signal = waveform[0, 0].double()
    # Only lines with neighbours on either side; half the sample rate has none above it.
    places = range(bins, window.numel() // 2 + 1 - LINE_NEIGHBOURS[-1], bins)
    if not places or signal.numel() < window.numel():
        return None
    frames = signal.unfold(-1, window.numel(), window.numel() // 2)
    power = torch.fft.rfft(frames * window).abs().square().mean(0) + 1e-12
    lines = torch.tensor(places)
    beside = torch.stack([power[lines + k] for k in LINE_NEIGHBOURS]).mean(0)
    return float(10 * (power[lines] / beside).log10().mean())
