"""Log-mel frames under a convention, `MelConfig`, that is stored with features and models."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Literal

import librosa
import torch
from torch import Tensor

# Added to the power before the square root, so that the gradient is finite at digital silence.
# The value is HiFi-GAN's, and part of the convention.
_MAGNITUDE_EPS = 1e-9


class FeatureMismatch(ValueError):  # noqa: N818 - says what it is
    """Two artefacts differ in their log-mel convention or in their pitch configuration."""


@dataclass(frozen=True, kw_only=True)
class MelConfig:
    """The log-mel convention: how log-mel frames are computed from a waveform.

    With a sample rate of 22050 Hz, the defaults are HiFi-GAN's convention. `dsp.mel_conventions`
    has the conventions of other programs.

    Args:
        sample_rate: sample rate of the waveform, Hz.
        n_fft: length of the Fourier transform, samples.
        hop_length: samples per frame.
        win_length: length of the Hann window, samples; at most `n_fft`.
        num_mels: number of mel bands.
        fmin_hz: lower edge of the lowest band.
        fmax_hz: upper edge of the highest band; at most half the sample rate.
        log_base: "e" or "10".
        log_floor: smallest mel magnitude, applied before the logarithm.
        filterbank_norm: "slaney" (bands of equal area) or "none" (bands of equal peak), both on
            Slaney's mel scale.
        power: exponent of the spectral magnitude: 1 for magnitude, 2 for power.
    Raises:
        ValueError: names the field, its value and what was expected.
    """

    sample_rate: int = 16000
    n_fft: int = 1024
    hop_length: int = 256
    win_length: int = 1024
    num_mels: int = 80
    fmin_hz: float = 0.0
    fmax_hz: float = 8000.0
    log_base: Literal["e", "10"] = "e"
    log_floor: float = 1e-5
    filterbank_norm: Literal["slaney", "none"] = "slaney"
    power: float = 1.0

    def __post_init__(self) -> None:
        for name in ("sample_rate", "n_fft", "hop_length", "win_length", "num_mels"):
            self._require(name, lambda v: isinstance(v, int) and v > 0, "a positive integer")
        # A configuration may come from someone else's file, and must not ask for unbounded memory.
        limits = {"sample_rate": 768_000, "n_fft": 65_536, "num_mels": 4096}
        for name, limit in limits.items():
            self._require(name, lambda v, limit=limit: v <= limit, f"at most {limit}")
        for name in ("log_floor", "power"):
            self._require(name, lambda v: 0 < v < math.inf, "a positive number")
        self._require("log_base", lambda v: v in ("e", "10"), '"e" or "10"')
        self._require("filterbank_norm", lambda v: v in ("slaney", "none"), '"slaney" or "none"')
        self._require("win_length", lambda v: v <= self.n_fft, f"at most n_fft={self.n_fft}")
        self._require(
            "hop_length",
            lambda v: v <= self.n_fft and (self.n_fft - v) % 2 == 0,
            f"at most n_fft={self.n_fft} and of the same parity, so that frames are centred",
        )
        nyquist = self.sample_rate / 2
        self._require("fmax_hz", lambda v: 0 < v <= nyquist, f"in (0, sample_rate/2 = {nyquist:g}]")
        self._require("fmin_hz", lambda v: 0 <= v < self.fmax_hz, f"in [0, fmax_hz={self.fmax_hz})")

    def _require(self, name: str, accepts: Callable[..., bool], expected: str) -> None:
        value = getattr(self, name)
        try:
            accepted = not isinstance(value, bool) and accepts(value)
        except TypeError:  # a string where a number belongs
            accepted = False
        if not accepted:
            raise ValueError(f"MelConfig.{name} is {value!r}, expected {expected}")

    @property
    def lowest(self) -> float:
        """The lowest log-mel value: the floor, in the convention's logarithm."""
        return math.log(self.log_floor) if self.log_base == "e" else math.log10(self.log_floor)

    @property
    def frames_beside(self) -> int:
        """Number of frames to drop at each end of a piece that was cut from a waveform.

        The windows of all these frames but one, which is spare, reach beyond the piece.
        """
        return math.ceil((self.n_fft - self.hop_length) / 2 / self.hop_length) + 1

    @property
    def frames_per_second(self) -> float:
        """Frame rate in Hz."""
        return self.sample_rate / self.hop_length

    @property
    def band_hz(self) -> Tensor:
        """Middle of each band, Hz, shape (num_mels,)."""
        return self._edges_hz[1:-1]

    @property
    def _edges_hz(self) -> Tensor:
        """Edges in Hz, shape (num_mels + 2,): band b begins at b, peaks at b + 1, ends at b + 2."""
        edges = librosa.mel_frequencies(self.num_mels + 2, fmin=self.fmin_hz, fmax=self.fmax_hz)
        return torch.from_numpy(edges)

    @property
    def band_area_hz(self) -> Tensor:
        """Area under each band of unit height, Hz, shape (num_mels,)."""
        return (self._edges_hz[2:] - self._edges_hz[:-2]) / 2

    @property
    def harmonic_scale(self) -> float:
        """Nats by which a harmonic's log-amplitude grows if the log-mel grows by 1."""
        return (1.0 if self.log_base == "e" else math.log(10)) / self.power

    @property
    def harmonic_offset(self) -> Tensor:
        r"""The offset in log a = log f_0 + log M_b + offset, in nats, for each band b.

        .. math:: M_b \approx \sum_m w_b(m f_0) \frac{a N}{2}, \qquad \sum_m w_b(m f_0) \approx
                  \frac1{f_0}

        a is the amplitude of the harmonics of the pitch f_0, and log M_b is `harmonic_scale` times
        the log-mel. The formula is for magnitudes of a transform of N points, and for bands w_b of
        area 1.

        Returns:
            offset of each band, shape (num_mels,).
        """
        area = self.band_area_hz
        if self.filterbank_norm == "slaney":
            area = torch.ones_like(area)
        return math.log(2 / self.n_fft) - area.log() / self.power

    def check_same(self, other: MelConfig, what: str) -> None:
        """Refuse features or a model made under another convention.

        Args:
            other: the convention found.
            what: name of the owner of `other`, for the message.
        Raises:
            FeatureMismatch: names the first differing field and both values.
        """
        for field in fields(self):
            expected, found = getattr(self, field.name), getattr(other, field.name)
            if expected != found:
                raise FeatureMismatch(
                    f"{what}: log-mel {field.name} is {found!r}, expected {expected!r}"
                )


def log_mel(waveform: Tensor, config: MelConfig) -> Tensor:
    """Compute log-mel frames; differentiable, on any device.

    .. math:: M_l = \\log \\max(F \\, (|STFT_l|^2 + 10^{-9})^{power/2}, floor)

    The logarithm has the base `config.log_base`. The constant 1e-9 is HiFi-GAN's.

    Frame l covers samples [l·hop, (l+1)·hop), with the window centred on them. Both ends are padded
    by reflection; a waveform too short to be reflected (at most (n_fft − hop)/2 samples) is padded
    with zeros.

    Args:
        waveform: samples in [-1, 1], shape (B, 1, T), float32 or float64, at `config.sample_rate`.
        config: the convention.
    Returns:
        Log-mel frames, shape (B, num_mels, T // hop_length), of the waveform's type and device.
    Raises:
        ValueError: for a wrong shape or type, or fewer samples than one hop.
    References:
        HiFi-GAN (Kong et al., 2020), `mel_spectrogram` of its implementation. arXiv:2010.05646

    >>> log_mel(torch.zeros(1, 1, 1000), MelConfig()).shape
    torch.Size([1, 80, 3])
    """
    if waveform.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"waveform is {waveform.dtype}, expected float32 or float64 in [-1, 1]")
    if waveform.ndim != 3 or waveform.shape[1] != 1:
        raise ValueError(f"waveform has shape {tuple(waveform.shape)}, expected (B, 1, T)")
    num_samples = waveform.shape[-1]
    if num_samples < config.hop_length:
        raise ValueError(f"waveform has {num_samples} samples, expected >= {config.hop_length}")
    padding = (config.n_fft - config.hop_length) // 2
    mode = "reflect" if num_samples > padding else "constant"
    padded = torch.nn.functional.pad(waveform, (padding, padding), mode=mode)
    return log_mel_of_spectrum(spectrum_of(padded, config), config)


@lru_cache(maxsize=32)
def silent_frame(config: MelConfig) -> Tensor:
    """Return the log-mel frame of digital silence, shape (num_mels,), float32.

    Its values are the floor, unless the floor is below the filtered constant of `log_mel`.
    """
    silence = torch.zeros(1, 1, config.hop_length, dtype=torch.float64)
    return log_mel(silence, config)[0, :, 0].float()


def spectrum_of(padded: Tensor, config: MelConfig) -> Tensor:
    """Compute the short-time spectra from which log-mel frames are made.

    Args:
        padded: samples with (n_fft − hop)/2 more at each end, shape (B, 1, L · hop + n_fft − hop).
        config: the convention.
    Returns:
        complex spectra, shape (B, n_fft // 2 + 1, L).
    """
    _, window = _constants(config, padded.device, padded.dtype)
    with torch.autocast(padded.device.type, enabled=False):
        return torch.stft(
            padded.squeeze(1),
            config.n_fft,
            config.hop_length,
            config.win_length,
            window,
            center=False,
            return_complex=True,
        )


def log_mel_of_spectrum(spectrum: Tensor, config: MelConfig) -> Tensor:
    """Compute the log-mel frames of spectra from `spectrum_of`, shape (B, num_mels, L)."""
    filterbank, _ = _constants(config, spectrum.device, spectrum.real.dtype)
    # Mixed precision would round the filterbank product to 8 bits.
    with torch.autocast(spectrum.device.type, enabled=False):
        energy = spectrum.real.square() + spectrum.imag.square() + _MAGNITUDE_EPS
        mel = (filterbank @ energy.pow(config.power / 2)).clamp_min(config.log_floor)
        return mel.log() if config.log_base == "e" else mel.log10()


@lru_cache(maxsize=32)
def _constants(
    config: MelConfig, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Filterbank (num_mels, n_fft//2 + 1) and window (win_length,)."""
    # The constants are cached. If they were made under inference_mode, no later call with gradients
    # could use them.
    with torch.inference_mode(False):
        window = torch.hann_window(config.win_length, dtype=torch.float64)
        return mel_filterbank(config).to(device, dtype), window.to(device, dtype)


def mel_filterbank(config: MelConfig) -> Tensor:
    """Return the weights of a spectrum's bins in each band, shape (num_mels, n_fft // 2 + 1)."""
    basis = librosa.filters.mel(
        sr=config.sample_rate,
        n_fft=config.n_fft,
        n_mels=config.num_mels,
        fmin=config.fmin_hz,
        fmax=config.fmax_hz,
        norm="slaney" if config.filterbank_norm == "slaney" else None,
        dtype="float64",
    )
    return torch.from_numpy(basis)
