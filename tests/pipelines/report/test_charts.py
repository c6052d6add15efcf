"""Numbers turned into coordinates."""

from pipelines.report import charts


def test_bars_are_as_long_as_the_logarithms_of_their_rates() -> None:
    assert charts.log_lengths([]) == []
    assert charts.log_lengths([0.5, 2.0, 8.0]) == [20.0, 60.0, 100.0]  # from a quarter onwards
    assert charts.log_lengths([8.0, 128.0]) == [50.0, 100.0]  # from a half onwards
