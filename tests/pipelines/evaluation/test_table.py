"""Tables of an evaluation's result."""

from pipelines.evaluation.measure import MEASURES
from pipelines.evaluation.table import cell


def test_small_negative_numbers_are_not_shown_as_minus_zero() -> None:
    measure = next(m for m in MEASURES if m.key == "mcd_db")
    assert cell(measure, {"mean": -1e-9, "low": -1e-9, "high": 0.0}) == "0.00"
