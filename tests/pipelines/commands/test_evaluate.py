"""Impossible options of an evaluation: told in one line, before any work."""

from pathlib import Path

import pytest

from pipelines.cli import main


def test_a_negative_seed_is_told_at_once(
    trained: Path, dump: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--student", str(trained / "student"), "--dump", str(dump), "--device", "cpu"]
    assert main(["evaluate", *words, "--seed=-1"]) == 2
    assert capsys.readouterr().err.splitlines() == ["parallel-wavenet: seed is -1, expected >= 0"]
