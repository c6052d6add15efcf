"""An equaliser that brings a drawn waveform's log-mel closer to the frames it was drawn from.

A model follows its conditioning only in the mean: a drawn waveform is too loud in some bands and
frames and too quiet in others, by some 0.4 nats. The waveform's log-mel shows by how much, so a
filter that changes from frame to frame can take much of the difference away.

References:
    Griffin & Lim (1984): the waveform whose short-time spectra are nearest to given spectra.
    FreeV (Lv et al., 2024): a vocoder that starts from what the mel says of the spectrum.
    arXiv:2406.08196
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from dsp.interpolation import weights_between
from dsp.mel import MelConfig, log_mel_of_spectrum, spectrum_of

LARGEST_DIFFERENCE = 1.5
"""Largest difference of a band that counts, nats (13 dB). Larger ones are errors in time."""

CORNER_HZ = 1000.0
"""Frequency below which bands have the strength `low`, and above which they have `high`."""

LOW = 0.3
"""Strength below the corner that was measured to sound best, see decision 19."""

TOO_QUIET = 0.35
"""A frame whose low bands together are too quiet by this much has another strength, nats (3 dB)."""

STEP = 0.1
"""Nats above `TOO_QUIET` at which that other strength is reached, so that it does not jump."""

IN_QUIET_FRAMES = 1.5
"""That other strength. Above 1: noise that has a tone's log-mel is quieter than the tone."""


class MelEqualiser:
    r"""Filters a waveform by the difference of its log-mel from the log-mel that was asked for.

    .. math:: Y_{l,k} = X_{l,k} \exp\Big(\sum_b A_{kb}\, s_b\,
              \mathrm{clip}(M_{l,b} - \hat M_{l,b})\Big)

    X are the short-time spectra of the waveform with log-mel :math:`\hat M`, M is the log-mel that
    was asked for, s_b is the strength of band b, and A interpolates between the bands' middles. The
    filtered waveform is the one whose spectra are nearest to Y in the mean square. It depends on
    the conditioning and on the drawn waveform alone; it has no density, unlike the drawn waveform.

    Below 1 kHz, bands are so narrow that they show single harmonics. If the model's pitch is not
    exactly the recording's, a full correction fills the gaps between harmonics. So the correction
    is weaker there, unless the low bands of a frame together are too quiet by `TOO_QUIET`, say
    because the model has drawn a tone as noise: there it has the strength `IN_QUIET_FRAMES`.

    Args:
        config: convention of the log-mel.
        low: strength of the correction below `CORNER_HZ`, 0 for none in any frame, to 1.
        high: strength of the correction above `CORNER_HZ`.
        passes: number of times that the waveform is filtered.
    Raises:
        ValueError: if the convention's windows overlap by less than half; see `is_possible`.
    """

    def __init__(
        self, config: MelConfig, low: float = LOW, high: float = 1.0, passes: int = 5
    ) -> None:
        if not self.is_possible(config):
            raise ValueError(
                f"MelConfig.win_length is {config.win_length}, expected at least "
                f"{2 * config.hop_length}, two hops: else spectra do not give a waveform"
            )
        self.config = config
        self.passes = passes
        self.padding = (config.n_fft - config.hop_length) // 2
        window = torch.hann_window(config.win_length, dtype=torch.float64)
        before = (config.n_fft - config.win_length) // 2
        self._window = F.pad(window, (before, config.n_fft - config.win_length - before))
        self._bins_of_bands = _interpolation(config)
        self._is_low = config.band_hz < CORNER_HZ
        self._strength = torch.full((config.num_mels, 1), high, dtype=torch.float64)
        self._in_quiet_frames = self._strength.clone()
        self._strength[self._is_low] = low
        self._in_quiet_frames[self._is_low] = IN_QUIET_FRAMES if low else 0.0

    @staticmethod
    def is_possible(config: MelConfig) -> bool:
        """Tell whether windows overlap enough for a waveform to be put together from spectra."""
        return config.win_length >= 2 * config.hop_length

    def __call__(self, waveform: Tensor, log_mel: Tensor) -> Tensor:
        """Filter whole waveforms.

        Args:
            waveform: samples, shape (B, 1, L * hop_length).
            log_mel: the frames that were asked for, shape (B, num_mels, L). Further rows (pitch,
                speaker) are ignored.
        Returns:
            filtered samples, shape and type of `waveform`.
        Raises:
            ValueError: if the shapes do not fit each other.
        """
        batch, bands, frames = log_mel.shape[0], self.config.num_mels, log_mel.shape[-1]
        expected = (batch, 1, frames * self.config.hop_length)
        if waveform.shape != expected or log_mel.ndim != 3 or log_mel.shape[1] < bands:
            raise ValueError(
                f"waveform and log-mel have the shapes {tuple(waveform.shape)} and "
                f"{tuple(log_mel.shape)}, expected {expected} and (B, {bands} or more, L)"
            )
        kind = waveform.dtype
        waveform = waveform.to(torch.promote_types(kind, torch.float32))  # for the transform
        # Each pass filters all windows at once, which takes a quarter of the time of `stream`.
        for _ in range(self.passes):
            padded = torch.cat(list(_padded([waveform], self.padding)), -1)
            count = (padded.shape[-1] - self.config.n_fft) // self.config.hop_length + 1
            wanted = _Frames([log_mel], self.config.num_mels).take(count)
            filtered = self._filtered(padded, wanted, None).waveform()
            waveform = filtered[..., self.padding : filtered.shape[-1] - self.padding]
        return waveform.to(kind)

    def stream(self, waveforms: Iterable[Tensor], log_mels: Iterable[Tensor]) -> Iterator[Tensor]:
        """Filter a waveform piece by piece, in constant memory.

        The result does not depend on the division into pieces. Each pass delays the waveform by at
        most n_fft samples.

        Args:
            waveforms: consecutive pieces, shape (B, 1, n) each, L * hop_length samples in all, in
                float32 or float64.
            log_mels: consecutive pieces of the frames, shape (B, num_mels, m) each, L in all. They
                are read when they are needed.
        Yields:
            consecutive pieces of the filtered waveform.
        Raises:
            ValueError: if there are fewer frames than the waveform has, or too few bands.
        """
        for frames in itertools.tee(log_mels, self.passes):
            waveforms = self._once(waveforms, _Frames(frames, self.config.num_mels))
        yield from waveforms

    def _once(self, waveforms: Iterable[Tensor], frames: "_Frames") -> Iterator[Tensor]:
        """Filter a waveform once; see `stream`."""
        hop, n_fft = self.config.hop_length, self.config.n_fft
        waiting: Tensor | None = None
        sums: _Sums | None = None
        skip = self.padding  # samples of the padding that have not been left out yet
        for piece in _padded(waveforms, self.padding):
            waiting = piece if waiting is None else torch.cat([waiting, piece], -1)
            count = (waiting.shape[-1] - n_fft) // hop + 1
            if count < 1:
                continue
            ready = waiting[..., : (count - 1) * hop + n_fft]
            waiting = waiting[..., count * hop :]
            sums = self._filtered(ready, frames.take(count), sums)
            done, sums = sums.split(count * hop)
            yield done[..., skip:]
            skip = max(0, skip - done.shape[-1])
        if sums is not None:
            rest = sums.waveform()
            yield rest[..., skip : rest.shape[-1] - self.padding]

    def _filtered(self, padded: Tensor, wanted: Tensor, before: "_Sums | None") -> "_Sums":
        """Filter whole windows, and add them to the unfinished sums of the windows before."""
        config = self.config
        with torch.autocast(padded.device.type, enabled=False):
            spectrum = spectrum_of(padded, config)
            drawn = log_mel_of_spectrum(spectrum, config) * config.harmonic_scale
            nats = self._correction(drawn, wanted.to(padded) * config.harmonic_scale)
            gain = (self._bins_of_bands.to(padded) @ nats).exp()
            window = self._window.to(padded)
            windows = torch.fft.irfft((spectrum * gain).mT, config.n_fft) * window
            squares = window.square().expand(1, windows.shape[1], -1)
            sums = _Sums(
                _overlap_add(windows, config.hop_length), _overlap_add(squares, config.hop_length)
            )
        return sums if before is None else sums.plus(before)

    def _correction(self, drawn: Tensor, wanted: Tensor) -> Tensor:
        """Return how much louder each band is made, nats, shape (B, num_mels, L).

        Args:
            drawn: log-mel of the waveform, nats, shape (B, num_mels, L).
            wanted: log-mel that was asked for, likewise.
        """
        is_low = self._is_low.to(drawn.device)
        missing = _level(wanted[:, is_low]) - _level(drawn[:, is_low])
        quiet = ((missing - TOO_QUIET) / STEP).clamp(0, 1)
        strength = torch.lerp(self._strength.to(drawn), self._in_quiet_frames.to(drawn), quiet)
        difference = (wanted - drawn).clamp(-LARGEST_DIFFERENCE, LARGEST_DIFFERENCE)
        return strength * difference


class _Sums(NamedTuple):
    """Overlapping windows added up, shape (B, 1, n), and the squares of the windows themselves."""

    windows: Tensor
    squares: Tensor

    def plus(self, before: "_Sums") -> "_Sums":
        """Add shorter sums at the beginning."""
        missing = self.windows.shape[-1] - before.windows.shape[-1]
        return _Sums(*(a + F.pad(b, (0, missing)) for a, b in zip(self, before, strict=True)))

    def split(self, length: int) -> tuple[Tensor, "_Sums"]:
        """Return the waveform of the first `length` samples, and the sums of the others."""
        done = _Sums(*(part[..., :length] for part in self)).waveform()
        return done, _Sums(*(part[..., length:] for part in self))

    def waveform(self) -> Tensor:
        """Return the waveform whose windows these are; where there is no window, it is 0."""
        return self.windows / self.squares.clamp(min=1e-8)


class _Frames:
    """Frames that come in pieces and are taken in other pieces."""

    def __init__(self, pieces: Iterable[Tensor], num_mels: int) -> None:
        self._pieces = iter(pieces)
        self._waiting: list[Tensor] = []
        self._num_mels = num_mels

    def take(self, count: int) -> Tensor:
        """Return the next `count` frames, shape (B, num_mels, count)."""
        while sum(piece.shape[-1] for piece in self._waiting) < count:
            piece = next(self._pieces, None)
            if piece is None:
                raise ValueError("the log-mel has fewer frames than the waveform")
            if piece.shape[1] < self._num_mels:
                raise ValueError(
                    f"the log-mel has {piece.shape[1]} bands, expected {self._num_mels} or more"
                )
            self._waiting.append(piece[:, : self._num_mels])
        joined = torch.cat(self._waiting, -1)
        self._waiting = [joined[..., count:]]
        return joined[..., :count]


def _padded(pieces: Iterable[Tensor], padding: int) -> Iterator[Tensor]:
    """Pad a waveform that comes in pieces, as `log_mel` pads a whole one."""
    start: Tensor | None = None  # what has come in while it is too short to be reflected
    end: Tensor | None = None  # the last samples, once the beginning has been padded
    for piece in pieces:
        if end is None:
            start = piece if start is None else torch.cat([start, piece], -1)
            if start.shape[-1] <= padding:
                continue
            piece = F.pad(start, (padding, 0), mode="reflect")
            end = start
        else:
            end = torch.cat([end, piece], -1)
        end = end[..., -(padding + 1) :]
        yield piece
    if end is not None:
        yield F.pad(end, (0, padding), mode="reflect")[..., end.shape[-1] :]
    elif start is not None:
        yield F.pad(start, (padding, padding))


def _overlap_add(windows: Tensor, hop: int) -> Tensor:
    """Overlap-add windows (B, L, n_fft) that begin a hop apart.

    The result has the shape (B, 1, (L - 1) * hop + n_fft).
    """
    batch, count, n_fft = windows.shape
    parts = F.pad(windows, (0, -n_fft % hop)).unflatten(-1, (-1, hop)).unbind(2)
    total = windows.new_zeros(batch, count + len(parts) - 1, hop)
    for place, part in enumerate(parts):
        total[:, place : place + count] += part
    return total.flatten(1)[:, None, : (count - 1) * hop + n_fft]


def _level(nats: Tensor) -> Tensor:
    """Return the level of all bands (B, bands, L) together, nats, shape (B, 1, L)."""
    return (2 * nats).logsumexp(1, keepdim=True) / 2 if nats.shape[1] else nats.sum(1, keepdim=True)


def _interpolation(config: MelConfig) -> Tensor:
    """Return each band's share of each bin by interpolation, shape (n_fft // 2 + 1, num_mels)."""
    bins = torch.linspace(0, config.sample_rate / 2, config.n_fft // 2 + 1, dtype=torch.float64)
    return weights_between(config.band_hz.double(), bins)
