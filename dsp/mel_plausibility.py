"""Checks whether log-mel values can be in a convention, and a guess of their convention."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dsp.mel import MelConfig, mel_filterbank
from dsp.mel_conventions import CONVENTIONS, MelConventionName, per_nat_of, to_model, to_nats

SLACK_NATS = 2.0
"""Distance, in nats of magnitude, by which a network's prediction may lie outside the values that
waveforms can have."""
RARE = 0.02
"""Largest share of a network's values that may lie lower still. A network that learned the floor
from silence sometimes falls below it. For 24 voices of a Tacotron 2, the share was at most
0.002 for 23 voices that spoke, and 0.011 for one that did not end its sentence."""
LOUD_NATS = 5.0
"""Smallest distance of the mean of speech from the highest possible value, in nats of magnitude. A
higher mean is too loud for speech. White noise reaches the limit at -15 dBFS. None of 240
recordings of six speakers reached the limit, even when they were amplified by 10 dB and clipped."""
LOUDER = 0.7
"""Mean above which values may have another logarithm than stated, if their spread is small, too.
The unit is a standard deviation of the training corpus, and 0 is the corpus's mean. When we took
common logarithms of the 240 recordings for natural logarithms, the mean was at least 0.97."""
SPREADS = (0.56, 1.75)
"""Smallest and largest usual spread of speech within a band, in standard deviations of the training
corpus. When we took common logarithms of the 240 recordings for natural logarithms, the spread was
at most 0.53."""
USUAL = 2.0
"""Largest usual distance of the mean of speech from the training corpus's mean, in standard
deviations of the training corpus."""

Array = npt.NDArray[np.floating]


class ConventionError(ValueError):
    """Log-mel values that cannot be in the stated convention."""


@dataclass(frozen=True)
class MelStatistics:
    """Statistics of the log-mels that a model was trained on.

    Args:
        mean: mean of each band, shape (num_mels, 1).
        std: standard deviation of each band, shape (num_mels, 1).
    """

    mean: Array
    std: Array


def value_limits(config: MelConfig) -> tuple[float, float]:
    """Return a lower and an upper bound of the log-mel values of waveforms in [-1, 1]."""
    # The largest magnitude of a bin is the sum of the window.
    largest = config.win_length / 2
    highest = float(mel_filterbank(config).sum(1).max()) * largest**config.power
    logarithm = math.log if config.log_base == "e" else math.log10
    return config.lowest, logarithm(highest)


def check_limits(values: Array, name: MelConventionName | None, config: MelConfig) -> None:
    """Refuse log-mel values that no waveform can have in a convention.

    Values that a network predicts may lie `SLACK_NATS` outside, and a share of `RARE` lower still.

    Args:
        values: frames, shape (num_mels, L).
        name: convention of the frames; None for the model's own.
        config: the model's convention.
    Raises:
        ConventionError: states the range of the values and the possible range.
    """
    low, high = _limits(name, config)
    slack = SLACK_NATS * per_nat_of(name, config)
    if np.mean(values < low - slack) > RARE or values.max() > high + slack:
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
    """Refuse log-mel values that cannot be in the stated convention, and name the likely one.

    The check refuses three kinds of values:

    * values that no waveform can have;
    * values louder than any speech;
    * values much louder than the training corpus, with too little spread, if they look like speech
      in another convention.

    Args:
        values: frames, shape (num_mels, L).
        name: the stated convention; None for the model's own.
        config: the model's convention.
        statistics: statistics of the model's training corpus; None if they are not known. Without
            them, only the first kind of values is refused.
    Raises:
        ConventionError: names the conventions in which the values look like speech, if there are
            any.
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
    """How well a convention explains log-mel values.

    Args:
        is_possible: whether a waveform can have the values.
        mean: mean of the values after conversion to the model's convention. The unit is a standard
            deviation of the training corpus, and 0 is the corpus's mean.
        spread: standard deviation of the converted values within a band, in this unit.
    """

    is_possible: bool
    mean: float
    spread: float

    @property
    def is_speech(self) -> bool:
        """Whether the converted values have a usual mean and spread of speech."""
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
    """Return the lowest and the highest possible value in a convention."""
    low, high = value_limits(config)
    if name is None:
        return low, high
    convention = CONVENTIONS[name]
    lowest = convention.per_nat * math.log(convention.floor)
    nats = high * config.harmonic_scale - float(_nats_of_zero(name, config).min())
    return lowest, nats * per_nat_of(name, config)


def _nats_of_zero(name: MelConventionName | None, config: MelConfig) -> Array:
    """Convert log-mels of zero to nats of magnitude, one for each band, shape (num_mels, 1)."""
    return to_nats(np.zeros((config.num_mels, 1)), name, config)


def _in_words(name: MelConventionName | None) -> str:
    return "of the model" if name is None else f"of convention {name}"


def _without_convention(values: Array) -> str:
    """Describe values that no convention explains."""
    if values.min() >= 0 and values.max() > 1:
        return "as if no logarithm had been taken"
    return "normalised: undo the normalisation"
