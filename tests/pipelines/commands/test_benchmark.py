"""Impossible options of a benchmark: told in one line, before any work."""

from pathlib import Path

import pytest

from pipelines.cli import main


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rounds", "0"], "rounds is 0, expected at least 1"),
        (["--out", "speed.png"], "out is speed.png, expected a JSON file"),
    ],
)
def test_an_impossible_option_is_told_at_once(
    trained: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    models = ["--teacher", str(trained / "teacher"), "--student", str(trained / "student")]
    assert main(["benchmark", *models, *words, "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
