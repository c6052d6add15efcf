"""The command line's help, and its message about a recipe that is no text."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli import COMMANDS, main

PYTHON = ("<class", "Literal", "Path |", "| None", "Optional", "Union", "tuple[", "list[", "null")


@pytest.mark.parametrize("command", COMMANDS)
def test_types_are_in_words(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "type: " in shown
    for word in (*PYTHON, "type: int", "type: str", "type: float", "type: bool"):
        assert word not in shown


def test_types_name_their_values(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["generate", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "(required, type: path)" in shown
    assert "(type: wav or flac, default: wav)" in shown
    assert "(type: number)" in shown
    assert "(type: true or false, default: False)" in shown
    assert "(type: auto, 32-true, bf16-mixed or 16-mixed, default: 32-true)" in shown


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_recipe_in_another_encoding_is_named(
    tmp_path: Path, encoding: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes("name: übung\n".encode(encoding))
    assert main(["prepare", "--recipe", str(path)]) == 2
    error = capsys.readouterr().err
    assert f"recipe {path}: is not in UTF-8" in error
    assert error.count("\n") == 1


def test_backend_of_a_notebook_is_not_loaded() -> None:
    environment = {**os.environ, "MPLBACKEND": "module://nowhere.backend_inline"}
    command = [sys.executable, "-m", "pipelines.cli", "evaluate", "--help"]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
