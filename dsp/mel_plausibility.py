"""Whether log-mel values can be of a model's convention, and which one they look like."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dsp.mel import MelConfig, mel_filterbank
from dsp.mel_conventions import CONVENTIONS, MelConventionName, per_nat_of, to_model, to_nats

SLACK_NATS = 2.0
"""Nats of magnitude beyond the possible values that a network's prediction may lie."""
LOUD_NATS = 5.0
"""Nats of magnitude below the highest possible value that no speech reaches on average. White noise
reaches it at -15 dBFS. Of 240 recordings of six speakers, amplified by 10 dB until they clip, none
did."""
LOUDER = 0.7
"""Mean of the values, in standard deviations above the training corpus's mean, from which values of
little spread may be of another logarithm. On those recordings, the least mean of common logarithms
taken for natural ones was 0.97."""
SPREADS = (0.56, 1.75)
"""Spread of most speech within a band, in standard deviations of the training corpus. On those
recordings, the largest of common logarithms taken for natural ones was 0.53."""
USUAL = 2.0
"""Largest distance between the mean of speech and the training corpus's mean, in deviations."""

Array = npt.NDArray[np.floating]


class ConventionError(ValueError):
    """Log-mel values that cannot be of the convention they are taken for."""


@dataclass(frozen=True)
class MelStatistics:
    """Of the log-mels that a model was trained on.

    Args:
        mean: of each band, shape (num_mels, 1).
        std: standard deviation of each band, shape (num_mels, 1).
    """

    mean: Array
    std: Array


def value_limits(config: MelConfig) -> tuple[float, float]:
    """Return the lowest and the highest log-mel value of any waveform in [-1, 1]."""
    # The largest magnitude of a bin is the sum of the window.
    largest = config.win_length / 2
    highest = float(mel_filterbank(config).sum(1).max()) * largest**config.power
    logarithm = math.log if config.log_base == "e" else math.log10
    return config.silence, logarithm(highest)


def check_limits(values: Array, name: MelConventionName | None, config: MelConfig) -> None:
    """Refuse values that no waveform has in a convention.

    Args:
        values: frames, shape (num_mels, L).
        name: their convention; None for the model's own.
        config: the model's convention.
    Raises:
        ConventionError: says which values were found and which are possible.
    """
    low, high = _limits(name, config)
    slack = SLACK_NATS * per_nat_of(name, config)
    if values.min() < low - slack or values.max() > high + slack:
        raise ConventionError(
            f"holds values from {values.min():.4g} to {values.max():.4g}, but log-mels "
            f"{_in_words(name)} lie between {low:.3g} and {high:.3g}"
        )


def check_convention(
    values: Array,
    name: MelConventionName | None,
    config: MelConfig,
    statistics: MelStatistics | None,
) -> None:
    """Refuse values that cannot be of a convention, and name the likely one.

    Values are refused that no waveform has. Values are refused, too, that are much louder than the
    training corpus and have too little spread, if another convention explains them, or louder than
    any speech.

    Args:
        values: frames, shape (num_mels, L).
        name: their convention; None for the model's own.
        config: the model's convention.
        statistics: of the model's training corpus; None where they are unknown.
    Raises:
        ConventionError: names the likely convention, if one explains the values.
    """
    if statistics is None:
        check_limits(values, name, config)
        return
    found = _Explanation.of(values, name, config, statistics)
    likely = [
        other
        for other in CONVENTIONS
        if per_nat_of(other, config) != per_nat_of(name, config)
        and _Explanation.of(values, other, config, statistics).is_speech
    ]
    highest = _limits(name, config)[1]
    is_loud = values.mean() > highest - LOUD_NATS * per_nat_of(name, config)
    is_narrow = found.mean > LOUDER and found.spread < SPREADS[0] and likely
    if found.is_possible and not is_loud and not is_narrow:
        return
    low, high = _limits(name, config)
    nats = statistics.mean * config.harmonic_scale - _nats_of_zero(name, config)
    mean = float(nats.mean()) * per_nat_of(name, config)
    hint = f"like {' or '.join(likely)}" if likely else _without_convention(values)
    raise ConventionError(
        f"holds values from {values.min():.4g} to {values.max():.4g}, {values.mean():.3g} on "
        f"average, but log-mels {_in_words(name)} lie between {low:.3g} and {high:.3g}, "
        f"{mean:.3g} on average; they look {hint}"
    )


@dataclass(frozen=True)
class _Explanation:
    """How well a convention explains values.

    Args:
        is_possible: whether some waveform has the values.
        mean: of the converted values, in deviations of the training corpus from its mean.
        spread: of the converted values within a band, in such deviations.
    """

    is_possible: bool
    mean: float
    spread: float

    @property
    def is_speech(self) -> bool:
        """Whether the converted values are like the training corpus's."""
        is_usual = abs(self.mean) < USUAL and SPREADS[0] < self.spread < SPREADS[1]
        return self.is_possible and is_usual

    @classmethod
    def of(
        cls,
        values: Array,
        name: MelConventionName | None,
        config: MelConfig,
        statistics: MelStatistics,
    ) -> _Explanation:
        try:
            check_limits(values, name, config)
            is_possible = True
        except ConventionError:
            is_possible = False
        z = (to_model(values, name, config) - statistics.mean) / statistics.std
        within = z - z.mean(1, keepdims=True)
        return cls(is_possible, float(z.mean()), float((within**2).mean()) ** 0.5)


def _limits(name: MelConventionName | None, config: MelConfig) -> tuple[float, float]:
    """Lowest and highest possible value in a convention."""
    low, high = value_limits(config)
    if name is None:
        return low, high
    convention = CONVENTIONS[name]
    lowest = convention.per_nat * math.log(convention.floor)
    nats = high * config.harmonic_scale - float(_nats_of_zero(name, config).min())
    return lowest, nats * per_nat_of(name, config)


def _nats_of_zero(name: MelConventionName | None, config: MelConfig) -> Array:
    """Return the nats of magnitude in each band, shape (num_mels, 1), of a log-mel of zero."""
    return to_nats(np.zeros((config.num_mels, 1)), name, config)


def _in_words(name: MelConventionName | None) -> str:
    return "of the model" if name is None else f"of convention {name}"


def _without_convention(values: Array) -> str:
    """Describe values that no convention explains."""
    if values.min() >= 0 and values.max() > 1:
        return "as if no logarithm had been taken"
    return "normalised: undo the normalisation"
