"""Means over utterances and their bootstrap intervals."""

import numpy as np
import pytest

from pipelines.evaluation.bootstrap import bootstrap_mean


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(300):
        interval = bootstrap_mean(rng.normal(1.0, 2.0, 40), seed=trial)
        covered += interval.low <= 1.0 <= interval.high
    assert 0.9 <= covered / 300 <= 0.98


def test_the_mean_is_weighted_and_the_seed_decides() -> None:
    interval = bootstrap_mean([1.0, 4.0], [3.0, 1.0], seed=1)
    assert interval.mean == pytest.approx(1.75)
    assert (interval.low, interval.high, interval.num) == (1.0, 4.0, 2)
    values = np.random.default_rng(0).normal(size=9)
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1)
    assert bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)
    assert bootstrap_mean([2.0]).low == bootstrap_mean([2.0]).high == 2.0


def test_no_values_have_no_mean() -> None:
    with pytest.raises(ValueError, match="got 0 values"):
        bootstrap_mean([])
