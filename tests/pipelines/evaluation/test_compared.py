"""Utterances measured by several processes."""

from pathlib import Path
from typing import Any

import pytest

from data import synthesise
from flows.engines.threads import pytorch_threads
from pipelines.commands import evaluate as command
from pipelines.commands.evaluate import evaluate
from pipelines.evaluation.packages import PACKAGES


@pytest.mark.slow
def test_two_processes_measure_what_one_does(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "missing_packages", lambda: list(PACKAGES))
    synthesise(tmp_path / "clips", num_utterances=2, seconds=0.4)
    what: dict[str, Any] = {"teacher": trained / "teacher", "student": trained / "student"}
    with pytorch_threads(1):
        for folder, processes in (("one", 1), ("two", 2)):
            out = tmp_path / folder
            evaluate(**what, input=tmp_path / "clips", out=out, device="cpu", processes=processes)
    one, two = tmp_path / "one", tmp_path / "two"
    files = [path.relative_to(one) for path in sorted(one.rglob("*")) if path.is_file()]
    assert len([path for path in files if path.suffix == ".wav"]) == 8
    for path in files:
        if path.suffix != ".png":
            assert (one / path).read_bytes() == (two / path).read_bytes(), path
