"""Log-mels of other programs: known conventions by name, and conversion to a model's convention."""

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
"""Name of a convention of `CONVENTIONS`, or "model" for the model's own convention."""

_PER_NAT_10 = math.log10(math.e)


@dataclass(frozen=True, kw_only=True)
class MelConvention:
    r"""How a program computes log-mel frames from a spectrum.

    .. math:: v = k \ln \max(F \, |STFT|^{power}, floor)

    v is a band's value in a frame, and F is Slaney's filterbank with bands of equal area. A
    convention holds only the choices in which programs differ: k, power, floor, and the times of
    the frames. The Fourier transform, the mel bands and the sample rate must equal the model's.

    Args:
        per_nat: the factor k: 1 for the natural logarithm, 20 log10(e) for decibels of a magnitude.
        power: exponent of the spectral magnitude: 1 for magnitude, 2 for power.
        floor: smallest mel value before the logarithm.
        is_centred: true if frame l is centred on sample l · hop, and T samples have T // hop + 1
            frames. False if frame l is centred half a hop later, as in `log_mel`, and T samples
            have T // hop frames.
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
* `log10`: common logarithm of mel magnitudes, for the frames of `log_mel`.
* `db`: librosa's `amplitude_to_db(melspectrogram(power=1), ref=1)`.
* `db_power`: librosa's `power_to_db(melspectrogram(), ref=1)`. Decibels with `ref=np.max` have lost
  the level and cannot be converted.
* `espnet`: `LogMelFbank` of ESPnet's text-to-speech, and `logmelfilterbank` of ParallelWaveGAN,
  before normalisation.
"""

assert (*CONVENTIONS, "model") == get_args(MelConventionChoice)
assert tuple(CONVENTIONS) == get_args(MelConventionName)


def to_bands(
    values: npt.NDArray[np.floating], fmin_hz: float, fmax_hz: float, config: MelConfig
) -> npt.NDArray[np.float64]:
    """Interpolate a log-mel of other band edges, linearly over the mel scale, to a model's bands.

    The result is an approximation. We measured it on recordings of six speakers at 16 kHz, with 80
    given bands from 80 to 7600 Hz and a model's bands from 0 to 8000 Hz. On average, the
    interpolated log-mel is 0.11 nats from the model's own log-mel, or 0.07 nats without the two
    lowest and the two highest bands. Without interpolation, the distance is 0.56 nats.

    Args:
        values: given frames of any logarithm, shape (num_mels, L).
        fmin_hz: lower edge of the lowest given band.
        fmax_hz: upper edge of the highest given band.
        config: the model's convention. A model's band that lies beyond the outermost given band
            takes that band's value.
    Returns:
        frames in the model's bands, shape (num_mels, L).
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
    r"""Convert log-mel frames from a known convention to the model's convention.

    The conversion is exact down to the model's floor, with one exception. A mel of magnitudes does
    not determine a mel of powers, nor a mel of powers a mel of magnitudes. Between the two, the
    conversion assumes that each band holds noise:

    .. math:: M_q \approx A \, \frac{\Gamma(1 + q/2)}{\Gamma(1 + p/2)^{q/p}}
              \left(\frac{M_p}{A}\right)^{q/p}, \qquad A = \sum_k F_{bk}

    Here p is the given power and q the wanted power, M is a mel value, and F is the filterbank. On
    recordings of six speakers, a log-mel of powers that is converted to magnitudes is on average
    0.07 nats from the log-mel that is computed from magnitudes.

    Args:
        values: frames, shape (num_mels, L).
        name: convention of the frames; None for the model's own, whose values are unchanged.
        config: the model's convention.
    Returns:
        frames, shape (num_mels, L). The times of the frames do not change; see `lead_samples`.
    """
    if name is None:
        return values.astype(np.float32)
    nats = to_nats(values, name, config) * config.power
    logarithm = nats if config.log_base == "e" else nats / math.log(10)
    return np.maximum(logarithm, config.lowest).astype(np.float32)


def to_nats(
    values: npt.NDArray[np.floating], name: MelConventionName | None, config: MelConfig
) -> npt.NDArray[np.float64]:
    """Convert log-mel frames to nats of magnitude, without a floor.

    Args:
        values: frames, shape (num_mels, L).
        name: convention of the frames; None for the model's own.
        config: the model's convention, which gives the bands and the power.
    Returns:
        natural logarithm of the mel that the model would compute, divided by `config.power`, shape
        (num_mels, L).
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
    """Return the amount by which a log-mel value grows if the magnitude grows by one nat.

    Args:
        name: convention of the value; None for the model's own.
        config: the model's convention.
    """
    if name is not None:
        return CONVENTIONS[name].per_nat * CONVENTIONS[name].power
    return 1 / config.harmonic_scale


def lead_samples(name: MelConventionName | None, config: MelConfig) -> int:
    """Return the number of samples by which the frames of a convention precede the model's frames.

    The model draws a waveform as if the frames were in its own convention. So the waveform begins
    `lead` samples before the recording begins, and ends `hop_length - lead` samples after it ends.

    Args:
        name: convention of the frames; None for the model's own.
        config: the model's convention.
    Returns:
        number of samples: half a hop for a convention with centred frames, otherwise 0.
    """
    return config.hop_length // 2 if name is not None and CONVENTIONS[name].is_centred else 0
