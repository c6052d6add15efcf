"""Fitting a flow to rows."""

import math

from pipelines.density.fit import Epoch, best_epoch


def test_an_epoch_without_a_likelihood_is_never_the_best() -> None:
    def epochs(*vals: float) -> list[Epoch]:
        return [Epoch(0.0, val, 1.0) for val in vals]

    assert best_epoch(epochs(-3.0, -1.0, -2.0)) == 1
    assert best_epoch(epochs(math.nan, -2.0, math.nan, -1.0)) == 3
