"""The command line's help, and its message about a recipe that is no text."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from data import synthesise
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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("generate --seed x", "--seed is x, expected a whole number"),
        ("generate --temperature warm", "--temperature is warm, expected a number"),
        ("generate --format mp3", "--format is mp3, expected wav or flac"),
        ("generate --stream=maybe", "--stream is maybe, expected true or false"),
        ("generate --max_seconds long", "--max_seconds is long, expected a number"),
        ("generate --model m", "missing: --input, --out"),
        ("evaluate --limit x", "--limit is x, expected a whole number"),
        (
            "evaluate --systems teacher tutor",
            "--systems is ['teacher', 'tutor'], expected recording, griffin-lim, world, teacher or "
            "student, one or several",
        ),
        ("benchmark --lengths x", "--lengths is x, expected a number, one or several"),
        ("density t.csv --hidden x", "--hidden is x, expected a list of whole numbers"),
        (
            "prepare --recipe.teacher.distribution x",
            "--recipe.teacher.distribution is x, expected gaussian or mixture",
        ),
        (
            "prepare --recipe.student.flow_layers [3,x]",
            "--recipe.student.flow_layers is x, expected a list of whole numbers",
        ),
        (
            "prepare --recipe.teacher 3",
            "--recipe.teacher is 3, expected a group of values: --recipe.teacher.KEY VALUE",
        ),
        ("", "no command, expected one of prepare, train-teacher"),
        ("generate -model m", "unknown option '-model' (did you mean '--model'?)"),
        (
            "generate \N{EM DASH}model m",
            "unknown option '\N{EM DASH}model' (did you mean '--model'?)",
        ),
        ("generate --Model m", "unknown option '--Model' (did you mean '--model'?)"),
        ("generate --mod m", "unknown option '--mod' (did you mean '--model'?)"),
        ("genrate --model m", "unknown command 'genrate' (did you mean 'generate'?), expected"),
    ],
)
def test_a_value_of_the_wrong_type_is_told_what_is_allowed(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"parallel-wavenet: {message}")
    assert error.count("\n") == 1
    assert not [word for word in PYTHON if word in error]


def test_types_name_their_values(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["generate", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "(required, type: path)" in shown
    assert "(required, type: path, one or several)" in shown
    assert "(type: wav or flac)" in shown
    assert "(type: number)" in shown
    assert "(type: true or false, default: False)" in shown
    assert "(type: auto, 32-true, bf16-mixed or 16-mixed, default: 32-true)" in shown


DEVICE_COMMANDS = [
    "generate --model {exp}/student --input {out}/v --out {out}/o",
    "interpolate --model {exp}/student --first {out}/v/clip_000.wav --second {out}/v/clip_001.wav "
    "--out {out}/o",
    "evaluate --student {exp}/student --dump {dump} --out {out}/o",
    "train-teacher --recipe tiny --dump {dump} --exp {out}/o",
    "distill --recipe tiny --dump {dump} --teacher {exp}/teacher --exp {out}/o",
    "ablate --recipe tiny --dump {dump} --teacher {exp}/teacher --out {out}/o",
    "benchmark --teacher {exp}/teacher --student {exp}/student --out {out}/o.json",
]


@pytest.mark.parametrize("device", ["mps", "meta", "cuda:99"])
@pytest.mark.parametrize("words", DEVICE_COMMANDS)
def test_a_device_that_is_of_no_use_is_named(
    words: str,
    device: str,
    dump: Path,
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    synthesise(tmp_path / "v", num_utterances=2, seconds=0.1)
    line = words.format(exp=trained, dump=dump, out=tmp_path)
    assert main([*line.split(), "--device", device]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"parallel-wavenet: device '{device}' cannot be used here: ")
    assert error.count("\n") == 1
    assert len(error) < 200
    assert [path.name for path in tmp_path.iterdir()] == ["v"]


def test_export_has_no_device(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--model", "m", "--format", "pt2", "--out", "o", "--device", "mps"]) == 2
    assert capsys.readouterr().err == "parallel-wavenet: unknown option '--device'\n"


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


def test_recipe_without_values_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("# nothing yet\n")
    assert main(["prepare", "--recipe", str(path)]) == 2
    assert capsys.readouterr().err == (
        f"parallel-wavenet: recipe {path}: is empty, expected values, such as name: mine\n"
    )


def test_package_of_another_program_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = types.ModuleType("data")  # as found in a folder of PYTHONPATH
    other.__file__ = str(tmp_path / "data" / "__init__.py")
    monkeypatch.setitem(sys.modules, "data", other)
    monkeypatch.delitem(sys.modules, "pipelines.commands.generate", raising=False)
    assert main(["generate", "--model", "m"]) == 2
    error = capsys.readouterr().err
    assert f"Python finds {other.__file__} before this program's package" in error
    assert "Traceback" not in error


def test_backend_of_a_notebook_is_not_loaded() -> None:
    environment = {**os.environ, "MPLBACKEND": "module://nowhere.backend_inline"}
    command = [sys.executable, "-m", "pipelines.cli", "evaluate", "--help"]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
