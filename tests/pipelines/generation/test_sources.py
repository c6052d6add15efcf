"""Inputs of `generate`: several, patterns, standard input, and one file for one of them."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data import synthesise
from pipelines.cli import main
from pipelines.generation.input_errors import InputError
from pipelines.generation.sources import open_sources


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder one is in, with recordings in `v` and in `v/more`."""
    synthesise(tmp_path / "v", num_utterances=2, seconds=0.2)
    synthesise(tmp_path / "v" / "more", num_utterances=1, seconds=0.2)
    (tmp_path / "v" / "more" / "clip_000.wav").rename(tmp_path / "v" / "more" / "deep.wav")
    (tmp_path / "v" / "notes.txt").write_text("none of these")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(trained: Path, *words: str) -> int:
    return main(["generate", "--model", str(trained / "student"), "--device", "cpu", *words])


def files(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(p.relative_to(folder).as_posix() for p in found if p.name[0] != ".")


def test_several_files_and_folders_go_to_one(trained: Path, place: Path) -> None:
    words = ["--input", "v/clip_000.wav", "v/clip_001.wav", "v/more", "--out", "o"]
    assert run(trained, *words) == 0
    assert files(place / "o") == ["clip_000.wav", "clip_001.wav", "deep.wav"]


def test_a_bad_one_of_several_does_not_keep_the_others_back(
    trained: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(trained, "--input", "v/notes.txt", "v/clip_000.wav", "--out", "o") == 1
    assert files(place / "o") == ["clip_000.wav"]
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "parallel-wavenet: 1 of 2 inputs gave nothing: notes.txt"


def test_a_pattern_in_quotes_is_expanded(trained: Path, place: Path) -> None:
    assert run(trained, "--input", "v/**/*.wav", "--out", "o") == 0
    assert files(place / "o") == ["clip_000.wav", "clip_001.wav", "deep.wav"]


@pytest.mark.parametrize("kind", ["audio", "array"])
def test_standard_input_is_one_recording_or_array(
    trained: Path, place: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    content = (place / "v" / "clip_000.wav").read_bytes()
    if kind == "array":
        array = io.BytesIO()
        np.save(array, np.full((80, 6), -5.0, np.float32))
        content = array.getvalue()
    stdin = io.TextIOWrapper(io.BytesIO(content))
    monkeypatch.setattr("sys.stdin", stdin)
    assert run(trained, "--input", "-", "--out", "o/mine.flac") == 0
    assert files(place / "o") == ["mine.flac"]  # no mark: the folder is not ours
    assert soundfile.info(place / "o" / "mine.flac").format == "FLAC"


@pytest.mark.parametrize(("content", "message"), [(b"", "empty"), (b"hello, world", "unreadable")])
def test_what_standard_input_lacks_is_told_of_it(
    trained: Path,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: bytes,
    message: str,
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert run(trained, "--input", "-", "--out", "o") == 2
    assert f"parallel-wavenet: standard input: {message}" in capsys.readouterr().err
    assert not (place / "o").exists()


def test_a_file_given_as_standard_input_is_not_written_over(trained: Path, place: Path) -> None:
    path = place / "v" / "clip_000.wav"
    before = path.read_bytes()
    words = ["--model", str(trained / "student"), "--input", "-", "--out", str(path)]
    with path.open("rb") as file:
        done = subprocess.run(
            [sys.executable, "-m", "pipelines.cli", "generate", *words, "--device", "cpu"],
            cwd=Path(__file__).parents[3],
            stdin=file,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert "clip_000.wav: is the input /dev/stdin of this command" in done.stderr
    assert path.read_bytes() == before


def test_one_input_goes_to_the_file_named(trained: Path, place: Path) -> None:
    assert run(trained, "--input", "v/clip_000.wav", "--out", "o") == 0
    assert run(trained, "--input", "v/clip_000.wav", "--out", "new/mine.wav") == 0
    drawn = (place / "new" / "mine.wav").read_bytes()
    assert drawn == (place / "o" / "clip_000.wav").read_bytes()
    assert run(trained, "--input", "v/clip_000.wav", "--out", "new/mine.raw") == 0
    samples = np.frombuffer((place / "new" / "mine.raw").read_bytes(), "<i2")
    assert len(samples) == soundfile.info(place / "new" / "mine.wav").frames
    before = (place / "new" / "mine.wav").stat().st_mtime_ns
    words = ["--input", "v/clip_001.wav", "--out", "new/mine.wav", "--skip_existing"]
    assert run(trained, *words) == 0
    assert (place / "new" / "mine.wav").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--input v --out x.wav", "x.wav: one input goes to a file, and there may be several"),
        ("--input v/*.wav --out x.wav", "one input goes to a file"),
        ("--input v/clip_000.wav v/clip_001.wav --out -", "one input goes to standard output"),
        ("--input v/clip_000.wav --out x.wav --format flac", "out is x.wav, but format is flac"),
        ("--input v/clip_000.wav --out x.wav --stream", "expected .raw"),
        ("--input v/clip_000.wav v/nothing.wav --out o", "v/nothing.wav: no such file or folder"),
        ("--input v/*.ogg --out o", "v/*.ogg: no file has a name of this pattern"),
        ("--input v/clip_000.wav --out v/notes.txt", "out is v/notes.txt, which is no folder"),
        ("--input v/clip_000.wav --out /dev/null", "out is /dev/null, which is no folder"),
        ("--input v/clip_000.wav --out gone", "out is gone, which is no folder"),
        ("--input v/clip_000.wav --out v/clip_000.wav", "would be written over"),
        ("--input v/*.wav --out v", "would be written over"),
    ],
)
def test_a_mistake_is_told_before_anything_is_drawn(
    trained: Path, place: Path, capsys: pytest.CaptureFixture[str], words: str, message: str
) -> None:
    (place / "gone").symlink_to("nowhere")
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert run(trained, *words.split()) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert before == {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_names_that_collide_and_files_named_twice(place: Path) -> None:
    synthesise(place / "other", num_utterances=1, seconds=0.2)
    with pytest.raises(InputError, match="would get the same name as"):
        open_sources([Path("v/clip_000.wav"), Path("other/clip_000.wav")]).__enter__()
    with open_sources([Path("v/clip_000.wav"), Path("v/*_000.wav")]) as sources:
        assert list(sources.names) == [Path("v/clip_000.wav")]


def test_a_file_whose_name_looks_like_a_pattern_is_itself(place: Path) -> None:
    (place / "v" / "clip_000.wav").rename(place / "take [1].wav")
    with open_sources([Path("take [1].wav")]) as sources:
        assert not sources.has_many
        assert list(sources.names) == [Path("take [1].wav")]


def test_brackets_in_a_folders_name_are_no_pattern(place: Path) -> None:
    (place / "v").rename(place / "takes [2]")
    with open_sources([Path("takes [2]/*_000.wav")]) as sources:
        assert list(sources.names) == [Path("takes [2]/clip_000.wav")]


@pytest.mark.parametrize("address", ["https://example.org/a.wav", "file:///v/a.wav"])
def test_an_address_is_refused_as_such(address: str) -> None:
    with pytest.raises(InputError, match=r"a\.wav: an address, expected a file or folder"):
        open_sources([Path(address)]).__enter__()
