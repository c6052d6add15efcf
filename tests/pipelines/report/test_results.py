"""Files of results that a page or a summary cannot use."""

from pathlib import Path

import pytest

from pipelines.report.results import BENCHMARK_FIELDS, EVALUATION_FIELDS, ResultsError, read_results

EVALUATION = '{"source": "x", "minutes": 1.0, "systems": {}, "utterances": []}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", r"e\.json: holds list, expected an object"),
        ("{", r"e\.json: cannot be read"),
        ("{}", r"e\.json: source is missing, expected str"),
        (EVALUATION.replace("[]", "3"), r"e\.json: utterances is int, expected list"),
    ],
)
def test_the_field_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "e.json").write_text(text)
    with pytest.raises(ResultsError, match=message):
        read_results(tmp_path / "e.json", EVALUATION_FIELDS)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e.json").write_text(EVALUATION)
    assert read_results(tmp_path / "e.json", EVALUATION_FIELDS)["source"] == "x"
    with pytest.raises(ResultsError, match="device is missing, expected str"):
        read_results(tmp_path / "e.json", BENCHMARK_FIELDS)
