"""Means over utterances, with bootstrap intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NUM_RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean with its bootstrap interval.

    Args:
        mean: mean over the utterances that have the measure.
        low: lower end of the 95 % interval.
        high: upper end of the 95 % interval.
        num: number of utterances that have the measure.
    """

    mean: float
    low: float
    high: float
    num: int


def bootstrap_mean(
    values: Sequence[float], weights: Sequence[float] | None = None, seed: int = 0
) -> Interval:
    r"""Compute a weighted mean and its percentile bootstrap interval over utterances.

    .. math:: \bar x = \sum_i w_i x_i / \sum_i w_i

    Utterances are resampled with replacement. The interval covers the choice of utterances, but not
    the training of the model. With fewer than about ten utterances the interval is too narrow.

    Args:
        values: one value for each utterance.
        weights: one weight for each utterance; None for equal weights.
        seed: seed of the resampling. Compared systems need an equal seed, so that each resample
            holds the same utterances for all.
    Returns:
        the mean and its 95 % interval.
    Raises:
        ValueError: if there are no values, or if the number of weights differs.
    References:
        Efron & Tibshirani, An introduction to the bootstrap, 1993, ch. 13.
    """
    x = np.asarray(values, dtype=np.float64)
    w = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
    if x.size == 0 or w.shape != x.shape:
        raise ValueError(
            f"got {x.size} values and {w.size} weights, expected equal numbers, at least 1"
        )
    drawn = np.random.default_rng(seed).integers(x.size, size=(NUM_RESAMPLES, x.size))
    means = (w[drawn] * x[drawn]).sum(1) / w[drawn].sum(1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(
        mean=float((w * x).sum() / w.sum()), low=float(low), high=float(high), num=x.size
    )
