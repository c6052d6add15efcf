"""Tables of an evaluation's result."""

from pipelines.evaluation.measure import MEASURES
from pipelines.evaluation.table import cell, heading


def test_small_negative_numbers_are_not_shown_as_minus_zero() -> None:
    measure = next(m for m in MEASURES if m.key == "mcd_db")
    assert cell(measure, {"mean": -1e-9, "low": -1e-9, "high": 0.0}) == "0.00"


def test_a_heading_names_unit_and_direction() -> None:
    found = {measure.key: heading(measure) for measure in MEASURES}
    assert found["mcd_db"] == "Mel-cepstral distortion (dB, lower is better)"
    assert found["estoi"] == "ESTOI (higher is better)"
    assert found["peak"] == "Peak (of full scale)"
