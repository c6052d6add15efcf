"""No command overwrites its inputs; it refuses before it computes anything."""

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from data import MelConfig, log_mel, read_waveform, synthesise
from pipelines.cli import main


@pytest.fixture
def place(tmp_path: Path, trained: Path) -> Path:
    """Make a folder with recordings, a table and a model."""
    synthesise(tmp_path / "v", num_utterances=2, seconds=0.4)
    (tmp_path / "v" / "clip_000.wav").rename(tmp_path / "v" / "00.wav")
    (tmp_path / "other name").symlink_to(tmp_path / "v")
    np.savetxt(tmp_path / "table.csv", np.random.default_rng(0).normal(size=(40, 2)), delimiter=",")
    (tmp_path / "student").mkdir()
    for path in (trained / "student").iterdir():
        if path.is_file():
            (tmp_path / "student" / path.name).write_bytes(path.read_bytes())
    return tmp_path


GENERATE = "generate --device cpu --model student"
COMMANDS = [
    f"{GENERATE} --input v/00.wav --out v",
    f"{GENERATE} --input v --out v",
    f"{GENERATE} --input v --out v/../v",
    f"{GENERATE} --input v --out 'other name'",
    f"{GENERATE} --input 'other name/00.wav' --out v",
    "interpolate --device cpu --model student --first v/00.wav --second v/clip_001.wav --out v",
    "export --model student --format pt2 --out student/model.safetensors",
    "benchmark --device cpu --teacher student --student student --out student/config.json",
    "interpolate-rows --model student --table table.csv --first 0 --second 1 --out table.csv",
]


@pytest.mark.parametrize("line", COMMANDS)
def test_an_input_is_not_written_over(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    monkeypatch.chdir(place)
    before = contents(place)
    assert main(shlex.split(line)) == 2
    error = capsys.readouterr().err
    assert "would be written over" in error
    assert error.count("\n") == 1
    assert contents(place) == before


def test_an_evaluation_is_not_written_over_the_audio_that_it_evaluates(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    (place / "e" / "audio").mkdir(parents=True)
    (place / "v").rename(place / "e" / "audio" / "recording")
    before = contents(place)
    words = ["--student", "student", "--input", "e/audio/recording", "--device", "cpu"]
    assert main(["evaluate", *words, "--out", "e", "--systems", "recording"]) == 2
    assert "00.wav: is an input of this command and would be" in capsys.readouterr().err
    assert contents(place) == before


def test_excerpts_are_not_written_over_the_corpus(
    dump: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, mine = tmp_path / "corpus", tmp_path / "dump"
    synthesise(corpus)
    shutil.copytree(dump, mine)
    manifest = json.loads((mine / "manifest.json").read_text()) | {"corpus": str(corpus)}
    (mine / "manifest.json").write_text(json.dumps(manifest))
    before = contents(corpus)
    assert main(["excerpts", "--dump", str(mine), "--out", str(corpus)]) == 2
    assert "would be written over" in capsys.readouterr().err
    assert contents(corpus) == before


@pytest.mark.parametrize("words", [["--input", ""], ["--out", ""], ["--out="], ["--model", ""]])
def test_an_empty_path_is_not_the_current_folder(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list
) -> None:
    monkeypatch.chdir(place / "v")
    before = contents(place)
    model, v = str(place / "student"), str(place / "v")
    options = {"--model": model, "--input": v, "--out": str(place / "o")}
    name = words[0].rstrip("=")
    del options[name]
    rest = [word for pair in options.items() for word in pair]
    assert main(["generate", *rest, *words]) == 2
    assert f"{name} is empty, expected a path" in capsys.readouterr().err
    assert contents(place) == before


def test_a_path_at_home_after_an_equals_sign_is_there(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("HOME", str(place / "home"))
    words = ["--model", "student", "--input", "v/00.wav", "--device", "cpu"]
    assert main(["generate", *words, "--out=~/o"]) == 0
    assert (place / "home" / "o" / "00.wav").exists()


@pytest.mark.parametrize("name", ["manifest.json", "report.txt", "waveforms/00.npy"])
def test_features_do_not_replace_a_file_of_the_users(
    place: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (place / "v" / name).parent.mkdir(exist_ok=True)
    (place / "v" / name).write_text(json.dumps({"audio_filepath": "00.wav"}))
    before = contents(place)
    words = ["--recipe", "tiny", "--corpus", str(place / "v"), "--dump", str(place / "v")]
    assert main(["prepare", *words]) == 2
    assert f"{name}: is not of prepared features" in capsys.readouterr().err
    assert contents(place) == before


def test_a_file_that_nobody_can_tell_from_a_recording_is_not_written_over(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    waveform = read_waveform(place / "v" / "00.wav", 16000)
    frames = log_mel(torch.from_numpy(waveform)[None, None], MelConfig())
    np.save(place / "v" / "00.npy", frames[0].numpy())  # beside its recording
    before = contents(place)
    line = f"{GENERATE} --input v/00.npy --out"
    assert main(shlex.split(f"{line} v")) == 2
    assert (
        "v/00.wav: exists, and v is not marked as a folder of this program's"
        in capsys.readouterr().err
    )
    assert contents(place) == before
    for _ in range(2):  # into a folder of the program's own, again and again
        assert main(shlex.split(f"{line} out")) == 0


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (f"{GENERATE} --input v/00.npy --out other", "00.wav"),
        ("interpolate --model student --first v/00.wav --second v/00.wav --out other", "00.wav"),
        ("report --exp . --out other", "index.html"),
    ],
    ids=["generate", "interpolate", "report"],
)
def test_files_in_a_folder_of_the_users_are_not_written_over(
    place: Path,
    line: str,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    np.save(place / "v" / "00.npy", np.zeros((MelConfig().num_mels, 4), np.float32))
    (place / "samples" / "recording").mkdir(parents=True)
    shutil.copy(place / "v" / "00.wav", place / "samples" / "recording")
    (place / "other").mkdir()
    (place / "other" / name).write_text("mine")
    before = contents(place)
    assert main(shlex.split(line)) == 2
    error = capsys.readouterr().err
    assert f"other/{name}: exists, and other is not marked as a folder of this program's" in error
    assert contents(place) == before


def test_excerpts_replace_excerpts_only(
    dump: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["excerpts", "--dump", str(dump), "--out"]
    for _ in range(2):
        assert main([*words, str(tmp_path / "own")]) == 0
    (tmp_path / "mine").mkdir()
    for path in (tmp_path / "own").rglob("*.wav"):
        shutil.copy(path, tmp_path / "mine" / path.name)
    before = contents(tmp_path)
    assert main([*words, str(tmp_path / "mine")]) == 2
    assert "is not marked as a folder of this program's" in capsys.readouterr().err
    assert contents(tmp_path) == before


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
