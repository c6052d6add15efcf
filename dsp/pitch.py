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
"""Samples that are compared with those a period later."""
PERIODIC = 0.15
"""Aperiodicity below which a period is taken at once; YIN's absolute threshold."""
VOICED = 0.6
"""Aperiodicity above which the best period counts as none: noise hardly gets below, the first and
last periods of a voice do."""
AUDIBLE_DBFS = -55.0
"""Level below which nothing counts as voiced."""
LOWEST_HZ = 10.0
"""Below the pitch of any voice; what is read from other people's files may not be less: the longest
period decides how much memory is needed."""
FRAMES_AT_ONCE = 256
"""Frames measured at once: a recording of any length takes bounded memory."""


@dataclass(frozen=True, kw_only=True)
class PitchConfig:
    """Whether models are given pitch and voicing, and how the two are measured.

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
        """Rows below the bands: pitch and voicing, or none."""
        return 0 if self.kind == "none" else 2

    @property
    def middle(self) -> float:
        """Middle of the range in octaves, log2 of Hz."""
        return math.log2(self.fmin_hz * self.fmax_hz) / 2

    def check_same(self, other: PitchConfig, what: str) -> None:
        """Refuse features or a model whose pitch is another, or that have none, or the reverse.

        Args:
            other: what was found.
            what: what `other` belongs to, for the message.
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
"""Models are given the log-mel alone."""


def with_pitch(log_mel: Tensor, waveform: Tensor, mel: MelConfig, config: PitchConfig) -> Tensor:
    """Add rows of pitch and voicing, see `pitch_rows`, to log-mel frames.

    Args:
        log_mel: shape (B, num_mels, L).
        waveform: what it was computed from, shape (B, 1, T), T // hop_length = L; of any length,
            it is measured a piece at a time.
        mel: their convention.
        config: how to measure; of kind "none" the frames stay as they are.
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

    The first row is the pitch at each frame's end, log2 of Hz. Where it is unvoiced the row goes
    straight from the last voiced frame to the next, and keeps to the nearest at the ends, so that
    what follows the pitch never jumps; without any voiced frame it is the middle of the range. The
    second row is 1 where voiced, 0 elsewhere.

    Args:
        octaves: pitch, log2 of Hz, shape (B, L); not read where unvoiced.
        voiced: true or false, same shape.
        config: the range.
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
    """Refuse rows that are no pitch and voicing.

    Args:
        rows: shape (..., 2, L), as from `pitch_rows`.
        sample_rate: of the waveforms, Hz.
    Raises:
        ValueError: if the voicing is not 0 or 1, or the pitch of a voiced frame cannot be one.
    """
    octaves, voicing = rows.unbind(-2)
    wrong = voicing[(voicing != 0) & (voicing != 1)]
    if wrong.numel():
        raise ValueError(f"the row of voicing holds {float(wrong[0]):g}, expected 0 or 1")
    low, high = math.log2(LOWEST_HZ), math.log2(sample_rate / 4)
    wrong = octaves[(voicing == 1) & ((octaves < low) | (octaves > high))]
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

    The period is the first minimum of d' below a threshold, else the lowest.

    Args:
        waveform: shape (B, 1, L * hop_length); zeros are taken to follow and to precede it.
        sample_rate: Hz.
        hop_length: samples per frame.
        fmin_hz: lowest pitch.
        fmax_hz: highest pitch; at most a quarter of the sample rate.
    Returns:
        pitch in Hz, shape (B, L), and whether each is voiced, likewise.
    References:
        YIN, a fundamental frequency estimator for speech and music (de Cheveigné & Kawahara, 2002).
    """
    reach = _reach(sample_rate, fmin_hz)
    shortest, longest = int(sample_rate / fmax_hz), reach - WINDOW
    middle = (WINDOW + longest // 2) // 2  # of the samples that a usual period compares
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
    # argmax finds the first of equals.
    chosen = torch.where(candidate.any(-1), candidate.float().argmax(-1), here.argmin(-1))
    a, b, c = (part.gather(-1, chosen[..., None])[..., 0] for part in (low, here, high))
    curvature = (a - 2 * b + c).clamp(min=1e-9)
    period = chosen + shortest + 1 + (0.5 * (a - c) / curvature).clamp(-0.5, 0.5)
    level = 10 * (energies[..., 0] / WINDOW).clamp(min=1e-12).log10()
    hz = (sample_rate / period).clamp(fmin_hz, fmax_hz)
    return hz.to(waveform.dtype), (b < VOICED) & (level > AUDIBLE_DBFS)


def _reach(sample_rate: int, fmin_hz: float) -> int:
    """Samples that a frame's measurement spans."""
    return WINDOW + int(sample_rate / fmin_hz) + 2
