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


def test_a_cell_has_the_measures_digits() -> None:
    digits = {"mcd_db": "0.12", "log_mel_distance": "0.123", "f0_rmse_cents": "0.1"}
    interval = dict.fromkeys(("mean", "low", "high"), 0.1234567)
    for measure in MEASURES:
        if measure.key in digits:
            assert cell(measure, interval) == digits[measure.key]
