"""Log-mels of other programs: known conventions by name, and their values in a model's."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import librosa
import numpy as np
import numpy.typing as npt

from dsp.mel import MelConfig, mel_filterbank

MelConventionName = Literal["hifigan", "tacotron2", "log10", "db", "db_power", "espnet"]
"""Name of a convention of `CONVENTIONS`."""
MelConventionChoice = Literal["hifigan", "tacotron2", "log10", "db", "db_power", "espnet", "model"]
"""Such a name, or "model" for the model's own convention."""

_PER_NAT_10 = math.log10(math.e)


@dataclass(frozen=True, kw_only=True)
class MelConvention:
    r"""How a program turns mel values into log-mel frames, where programs differ.

    .. math:: v = k \ln \max(F \, |STFT|^{power}, floor)

    The Fourier transform, the mel bands and the sample rate are not part of it: they must be those
    of the model. All conventions have Slaney's filterbank with bands of equal area.

    Args:
        per_nat: the factor k: 1 for the natural logarithm, 20 log10(e) for decibels of a magnitude.
        power: exponent of the spectral magnitude: 1 for magnitude, 2 for power.
        floor: smallest mel value before the logarithm.
        is_centred: frame l is centred on sample l · hop, and T samples have T // hop + 1 frames.
            Otherwise the frame is centred half a hop later, as `log_mel`'s, and there are T // hop.
    """

    per_nat: float
    power: float
    floor: float
    is_centred: bool


CONVENTIONS: dict[MelConventionName, MelConvention] = {
    "hifigan": MelConvention(per_nat=1.0, power=1, floor=1e-5, is_centred=False),
    "tacotron2": MelConvention(per_nat=1.0, power=1, floor=1e-5, is_centred=True),
    "log10": MelConvention(per_nat=_PER_NAT_10, power=1, floor=1e-10, is_centred=False),
    "db": MelConvention(per_nat=20 * _PER_NAT_10, power=1, floor=1e-5, is_centred=True),
    "db_power": MelConvention(per_nat=10 * _PER_NAT_10, power=2, floor=1e-10, is_centred=True),
    "espnet": MelConvention(per_nat=_PER_NAT_10, power=1, floor=1e-10, is_centred=True),
}
"""The known conventions.

* `hifigan`: `mel_spectrogram` of HiFi-GAN. arXiv:2010.05646
* `tacotron2`: `TacotronSTFT` of NVIDIA's Tacotron 2.
* `log10`: common logarithm of mel magnitudes, in frames like `log_mel`'s.
* `db`: librosa's `amplitude_to_db(melspectrogram(power=1), ref=1)`.
* `db_power`: librosa's `power_to_db(melspectrogram(), ref=1)`. With `ref=np.max` the level is lost.
* `espnet`: `LogMelFbank` of ESPnet's text-to-speech, and `logmelfilterbank` of ParallelWaveGAN,
  before normalisation.
"""

assert (*CONVENTIONS, "model") == get_args(MelConventionChoice)
assert tuple(CONVENTIONS) == get_args(MelConventionName)


def to_bands(
    values: npt.NDArray[np.floating], fmin_hz: float, fmax_hz: float, config: MelConfig
) -> npt.NDArray[np.float64]:
    """Interpolate a log-mel between bands of other edges, linearly over the mel scale.

    This is an approximation. On recordings of six speakers at 16 kHz, 80 bands from 80 to 7600 Hz
    come within 0.11 nats of the model's own log-mel of 0 to 8000 Hz on average, and within 0.07
    without the lowest two bands and the highest two; not interpolated, they are 0.56 nats away.

    Args:
        values: frames of any logarithm, shape (num_mels, L).
        fmin_hz: lower edge of their lowest band.
        fmax_hz: upper edge of their highest band.
        config: the model's convention; beyond the outermost bands the values stay.
    Returns:
        frames of the model's bands, shape (num_mels, L).
    Raises:
        ValueError: if the edges are impossible.
    """
    theirs = replace(config, fmin_hz=fmin_hz, fmax_hz=fmax_hz)
    places, wanted = (librosa.hz_to_mel(bands.band_hz.numpy()) for bands in (theirs, config))
    position = np.interp(wanted, places, np.arange(len(places)))
    below = np.minimum(position.astype(int), max(0, len(places) - 2))
    above, weight = np.minimum(below + 1, len(places) - 1), (position - below)[:, None]
    return np.asarray(values[below] * (1 - weight) + values[above] * weight, np.float64)


def to_model(
    values: npt.NDArray[np.floating], name: MelConventionName | None, config: MelConfig
) -> npt.NDArray[np.float32]:
    r"""Convert log-mel frames of a known convention to a model's.

    The conversion is exact down to the model's floor, with one exception. Between a mel of
    magnitudes and one of powers it assumes bands of noise:

    .. math:: M_q \approx A \, \frac{\Gamma(1 + q/2)}{\Gamma(1 + p/2)^{q/p}}
              \left(\frac{M_p}{A}\right)^{q/p}, \qquad A = \sum_k F_{bk}

    On recordings of six speakers, the result is 0.07 nats from the magnitudes' own log-mel on
    average.

    Args:
        values: frames, shape (num_mels, L).
        name: their convention; None for the model's own, which stays.
        config: the model's convention.
    Returns:
        frames, shape (num_mels, L). Their times stay, see `lead_samples`.
    """
    if name is None:
        return values.astype(np.float32)
    nats = to_nats(values, name, config) * config.power
    logarithm = nats if config.log_base == "e" else nats / math.log(10)
    return np.maximum(logarithm, config.silence).astype(np.float32)


def to_nats(
    values: npt.NDArray[np.floating], name: MelConventionName | None, config: MelConfig
) -> npt.NDArray[np.float64]:
    """Return log-mel frames in nats of magnitude, without a floor.

    Args:
        values: frames, shape (num_mels, L).
        name: their convention; None for the model's own.
        config: the model's convention, whose bands and whose power the frames are to have.
    Returns:
        natural logarithm of the model's mel, divided by `config.power`, shape (num_mels, L).
    """
    if name is None:
        per_nat = config.power * (1.0 if config.log_base == "e" else _PER_NAT_10)
        return values.astype(np.float64) / per_nat
    convention = CONVENTIONS[name]
    nats = values.astype(np.float64) / convention.per_nat
    slaney = replace(config, filterbank_norm="slaney")
    ratio = config.power / convention.power
    if ratio != 1:
        area = mel_filterbank(slaney).sum(1, keepdim=True).clamp_min(1e-12).numpy()
        of_noise = math.lgamma(1 + config.power / 2) - ratio * math.lgamma(1 + convention.power / 2)
        nats = nats * ratio + (1 - ratio) * np.log(area) + of_noise
    if config.filterbank_norm == "none":
        nats = nats + config.band_area_hz.log()[:, None].numpy()
    return np.asarray(nats / config.power, np.float64)


def per_nat_of(name: MelConventionName | None, config: MelConfig) -> float:
    """Return the change of a value for a change of the magnitude by one nat."""
    if name is not None:
        return CONVENTIONS[name].per_nat * CONVENTIONS[name].power
    return 1 / config.harmonic_scale


def lead_samples(name: MelConventionName | None, config: MelConfig) -> int:
    """Return how many samples earlier than the model's a convention's frames are.

    A waveform drawn from the frames begins so many samples before the recording does, and ends
    `hop_length` less so many after it.

    Args:
        name: a convention; None for the model's own.
        config: the model's convention.
    """
    return config.hop_length // 2 if name is not None and CONVENTIONS[name].is_centred else 0
