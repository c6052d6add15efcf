"""Pitch and voicing: measured by YIN, and given to models as two rows below the log-mel."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dsp.mel import FeatureMismatch, MelConfig

WINDOW = 512
"""Length in samples of the window that is compared with the signal one period later."""
PERIODIC = 0.15
"""YIN's absolute threshold: the shortest period with a lower aperiodicity is chosen."""
VOICED = 0.6
"""The aperiodicity above which a frame counts as unvoiced. Noise rarely has a lower aperiodicity.
Even the first and last periods of a voice do."""
AUDIBLE_DBFS = -55.0
"""The level in dBFS below which a frame counts as unvoiced."""
LOWEST_HZ = 10.0
"""The lowest pitch in Hz that a configuration may name. Voices are higher. Memory grows with the
longest period, and a configuration may come from someone else's file."""
LARGEST_SHIFT = 24
"""The largest shift of a pitch, up or down, in semitones."""
FRAMES_AT_ONCE = 256
"""Number of frames measured at once, so that a long recording takes bounded memory."""


@dataclass(frozen=True, kw_only=True)
class PitchConfig:
    """Whether models receive pitch and voicing, and how pitch and voicing are measured.

    Args:
        kind: "none", or "yin" for two rows below the log-mel, see `with_pitch`.
        fmin_hz: lowest pitch.
        fmax_hz: highest pitch; at most a quarter of the sample rate.
    Raises:
        ValueError: names the field, its value and what was expected.
    """

    kind: Literal["none", "yin"] = "none"
    fmin_hz: float = 60.0
    fmax_hz: float = 400.0

    def __post_init__(self) -> None:
        if self.kind not in ("none", "yin"):
            raise ValueError(f"pitch.kind is {self.kind!r}, expected 'none' or 'yin'")
        if not LOWEST_HZ <= self.fmin_hz < self.fmax_hz < math.inf:
            raise ValueError(
                f"pitch has fmin_hz {self.fmin_hz} and fmax_hz {self.fmax_hz}, expected "
                f"{LOWEST_HZ:g} <= fmin_hz < fmax_hz"
            )

    @property
    def num_rows(self) -> int:
        """Number of rows below the mel bands: 2 with pitch and voicing, else 0."""
        return 0 if self.kind == "none" else 2

    @property
    def middle(self) -> float:
        """Middle of the pitch range on a logarithmic scale, log2 of Hz."""
        return math.log2(self.fmin_hz * self.fmax_hz) / 2

    def check_same(self, other: PitchConfig, what: str) -> None:
        """Refuse features or a model with another pitch configuration.

        Two configurations without pitch are equal, whatever their range.

        Args:
            other: the configuration found.
            what: name of the owner of `other`, for the message.
        Raises:
            FeatureMismatch: names the first differing field and both values.
        """
        if self.num_rows == other.num_rows == 0:
            return
        for field in fields(self):
            expected, found = getattr(self, field.name), getattr(other, field.name)
            if expected != found:
                raise FeatureMismatch(
                    f"{what}: pitch.{field.name} is {found!r}, expected {expected!r}"
                )


NO_PITCH = PitchConfig()
"""The configuration of models that receive the log-mel without pitch."""


def with_pitch(log_mel: Tensor, waveform: Tensor, mel: MelConfig, config: PitchConfig) -> Tensor:
    """Add rows of pitch and voicing, see `pitch_rows`, to log-mel frames.

    Args:
        log_mel: shape (B, num_mels, L).
        waveform: waveform of the log-mel, shape (B, 1, T), T // hop_length = L. It may be long,
            because pitch is measured piece by piece.
        mel: the mel convention.
        config: how to measure pitch; with kind "none" the log-mel is returned unchanged.
    Returns:
        frames, shape (B, num_mels + config.num_rows, L), of the log-mel's type and device.
    """
    if not config.num_rows:
        return log_mel
    rate, hop = mel.sample_rate, mel.hop_length
    num_frames = waveform.shape[-1] // hop
    margin = -(-_reach(rate, config.fmin_hz) // hop)
    hz: list[Tensor] = []
    voiced: list[Tensor] = []
    for start in range(0, num_frames, FRAMES_AT_ONCE):
        first, end = max(0, start - margin), min(start + FRAMES_AT_ONCE, num_frames)
        piece = waveform[..., first * hop : (end + margin) * hop]
        found = yin(piece, rate, hop, config.fmin_hz, config.fmax_hz)
        for parts, part in zip((hz, voiced), found, strict=True):
            parts.append(part[:, start - first : end - first])
    rows = pitch_rows(torch.cat(hz, -1).log2(), torch.cat(voiced, -1), config)
    return torch.cat([log_mel, rows.to(log_mel)], -2)


def pitch_rows(octaves: Tensor, voiced: Tensor, config: PitchConfig) -> Tensor:
    """Lay out pitch and voicing as models read them.

    The first row is the pitch at each frame's end, in log2 of Hz. In unvoiced frames the pitch is
    interpolated linearly between the neighbouring voiced frames, so that it never jumps. Before the
    first voiced frame, and after the last, it is constant. Without any voiced frame it is the
    middle of the range. The second row, the voicing, is 1 in voiced frames and 0 in unvoiced ones.

    Args:
        octaves: pitch in log2 of Hz, shape (B, L); unvoiced frames are ignored.
        voiced: booleans, shape (B, L).
        config: the pitch range.
    Returns:
        rows, shape (B, 2, L), float64, on the CPU.
    """
    known, is_voiced = octaves.double().cpu().numpy(), voiced.bool().cpu().numpy()
    frames = np.arange(known.shape[-1])
    pitch = np.full(known.shape, config.middle)
    for row, values, where in zip(pitch, known, is_voiced, strict=True):
        if where.any():
            row[:] = np.interp(frames, frames[where], values[where])
    return torch.from_numpy(np.stack([pitch, is_voiced.astype(np.float64)], 1))


def check_pitch_rows(rows: Tensor, sample_rate: int) -> None:
    """Refuse rows that are not valid pitch and voicing.

    Args:
        rows: pitch and voicing as `pitch_rows` returns them, shape (..., 2, L).
        sample_rate: sample rate of the waveforms, Hz.
    Raises:
        ValueError: if a voicing is not 0 or 1; if a pitch is not finite; or if the pitch of a
            voiced frame is out of range: `LOWEST_HZ` to a quarter of the sample rate.
    """
    octaves, voicing = rows.unbind(-2)
    wrong = voicing[(voicing != 0) & (voicing != 1)]
    if wrong.numel():
        raise ValueError(f"the row of voicing holds {float(wrong[0]):g}, expected 0 or 1")
    wrong = octaves[~octaves.isfinite()]
    if wrong.numel():
        raise ValueError(
            f"the row of pitch holds {float(wrong[0]):g}, expected log2 of Hz in every frame: "
            "`pitch_rows` interpolates in unvoiced ones"
        )
    low, high = math.log2(LOWEST_HZ), math.log2(sample_rate / 4)
    wrong = octaves[(voicing == 1) & ~((octaves >= low) & (octaves <= high))]
    if wrong.numel():
        raise ValueError(
            f"the row of pitch holds {float(wrong[0]):g} in a voiced frame, expected log2 of Hz, "
            f"{low:.3g} to {high:.3g}"
        )


@torch.no_grad()
def yin(
    waveform: Tensor, sample_rate: int, hop_length: int, fmin_hz: float, fmax_hz: float
) -> tuple[Tensor, Tensor]:
    r"""Measure the pitch at the end of each frame.

    .. math:: d(\tau) = \sum_{j} (x_j - x_{j+\tau})^2, \qquad
              d'(\tau) = d(\tau) \Big/ \Big(\frac1\tau \sum_{k=1}^{\tau} d(k)\Big)

    The period is the first minimum of the aperiodicity d' below `PERIODIC`, else the lowest d'.

    Args:
        waveform: shape (B, 1, L * hop_length); samples outside count as 0.
        sample_rate: Hz.
        hop_length: samples per frame.
        fmin_hz: lowest pitch.
        fmax_hz: highest pitch; at most a quarter of the sample rate.
    Returns:
        pitch in Hz, shape (B, L); voicing (boolean), shape (B, L): d' below `VOICED`, and a level
        above `AUDIBLE_DBFS`.
    References:
        YIN, a fundamental frequency estimator for speech and music (de Cheveigné & Kawahara, 2002).
    """
    reach = _reach(sample_rate, fmin_hz)
    # One lag less than the shortest period, so that a minimum at this period has two neighbours.
    shortest, longest = int(sample_rate / fmax_hz) - 1, reach - WINDOW
    # The pitch is measured around the frame's end: the middle of the samples that are compared if
    # the period is half the longest period.
    middle = (WINDOW + longest // 2) // 2
    padded = F.pad(waveform[:, 0].double(), (middle - hop_length, reach))
    frames = padded.unfold(-1, reach, hop_length)[:, : waveform.shape[-1] // hop_length]
    first = frames[..., :WINDOW]
    points = 1 << (reach - 1).bit_length()
    products = torch.fft.rfft(first, n=points).conj() * torch.fft.rfft(frames, n=points)
    correlation = torch.fft.irfft(products, n=points)[..., :longest]
    energy = F.pad(frames.square().cumsum(-1), (1, 0))
    energies = energy[..., WINDOW : WINDOW + longest] - energy[..., :longest]
    difference = (energies[..., :1] + energies - 2 * correlation).clamp(min=0)
    lags = torch.arange(1, longest, dtype=frames.dtype, device=frames.device)
    mean = difference[..., 1:].cumsum(-1) / lags
    aperiodicity = F.pad(difference[..., 1:] / mean.clamp(min=1e-12), (1, 0), value=1.0)
    low, here, high = (aperiodicity[..., shortest + k : longest - 2 + k] for k in range(3))
    candidate = (here < PERIODIC) & (here <= low) & (here < high)
    # Among equal values, argmax returns the first.
    chosen = torch.where(candidate.any(-1), candidate.float().argmax(-1), here.argmin(-1))
    a, b, c = (part.gather(-1, chosen[..., None])[..., 0] for part in (low, here, high))
    curvature = (a - 2 * b + c).clamp(min=1e-9)
    period = chosen + shortest + 1 + (0.5 * (a - c) / curvature).clamp(-0.5, 0.5)
    level = 10 * (energies[..., 0] / WINDOW).clamp(min=1e-12).log10()
    hz = (sample_rate / period).clamp(fmin_hz, fmax_hz)
    return hz.to(waveform.dtype), (b < VOICED) & (level > AUDIBLE_DBFS)


def _reach(sample_rate: int, fmin_hz: float) -> int:
    """Return the number of samples that the measurement of a frame reads."""
    return WINDOW + int(sample_rate / fmin_hz) + 2
