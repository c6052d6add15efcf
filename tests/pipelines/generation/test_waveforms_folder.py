"""A folder of inputs: bad inputs, finished outputs, unusual names and options, two runs at once."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data import NO_PITCH, MelConfig, synthesise
from data.audio.outputs import MARKER_FILE
from pipelines.cli import main
from pipelines.generation.input_errors import InputError, InputsFailedError
from pipelines.generation.inputs import read_frames
from pipelines.generation.waveforms import generate

WAITING = """
import os, sys
from pipelines.cli import main
sync, written = os.fsync, []

def wait_once(file):
    if not written:
        written.append(file)
        print("writing", flush=True)
        sys.stdin.readline()
    sync(file)

os.fsync = wait_once
sys.exit(main())
"""
"""The program, which waits for a line of standard input before it finishes its first file."""


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """Make three recordings, the first of them unusable, and an array that is no log-mel."""
    folder = tmp_path / "speech"
    synthesise(folder, num_utterances=3, seconds=0.3)
    (folder / "clip_000.wav").write_text("not audio")
    np.save(folder / "shape.npy", np.zeros((3, 4), np.float32))
    return folder


def run(trained: Path, speech: Path, out: Path, *words: str) -> int:
    model = ["--model", str(trained / "student"), "--device", "cpu"]
    return main(["generate", *model, "--input", str(speech), "--out", str(out), *words])


def test_the_rest_is_done_and_the_bad_ones_are_listed(
    trained: Path, speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(trained, speech, tmp_path / "out") == 1
    assert wavs(tmp_path / "out") == ["clip_001.wav", "clip_002.wav"]
    printed = capsys.readouterr()
    assert "clip_001.wav  0.30 s" in printed.out
    assert "not generated: " in printed.err
    assert "clip_000.wav: unreadable audio" in printed.err
    last = printed.err.splitlines()[-1]
    assert last == "parallel-wavenet: 2 of 4 inputs gave nothing: clip_000.wav, shape.npy"


def test_bad_inputs_alone_leave_no_folder(trained: Path, speech: Path, tmp_path: Path) -> None:
    for path in speech.glob("clip_00[12].wav"):
        path.unlink()
    with pytest.raises(InputsFailedError) as caught:
        generate(trained / "student", speech, tmp_path / "out", device="cpu")
    assert [path.name for path in caught.value.failed] == ["clip_000.wav", "shape.npy"]
    assert not (tmp_path / "out").exists()


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    with pytest.raises(InputError, match=r"pipe\.npy: not a file"):
        read_frames(tmp_path / "pipe.npy", MelConfig(), NO_PITCH)


def test_existing_outputs_are_skipped_on_request(
    trained: Path, speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (speech / "clip_000.wav").unlink()
    (speech / "shape.npy").unlink()
    assert run(trained, speech, tmp_path / "out") == 0
    first = (tmp_path / "out" / "clip_001.wav").stat().st_mtime_ns
    (tmp_path / "out" / "clip_002.wav").unlink()
    capsys.readouterr()
    assert run(trained, speech, tmp_path / "out", "--skip_existing") == 0
    assert "1 of 2 are in" in capsys.readouterr().out
    assert (tmp_path / "out" / "clip_001.wav").stat().st_mtime_ns == first
    assert wavs(tmp_path / "out") == ["clip_001.wav", "clip_002.wav"]
    assert run(trained, speech, tmp_path / "out", "--skip_existing", "--stream") == 2


def test_an_output_folder_among_the_inputs_is_left_out_and_named(
    trained: Path, speech: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        run(trained, speech, speech / "generated")
    assert wavs(speech / "generated") == ["clip_001.wav", "clip_002.wav"]
    assert f"left out: generated: made by this program; delete its file {MARKER_FILE}" in (
        capsys.readouterr().out
    )


def test_names_that_are_not_utf8_are_generated(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "speech").mkdir()
    name = "caf\udce9 \u2028\x85.wav"  # Latin-1, and unusual ends of lines
    synthesise(tmp_path, num_utterances=1, seconds=0.3)
    (tmp_path / "clip_000.wav").rename(tmp_path / "speech" / name)
    assert run(trained, tmp_path / "speech", tmp_path / "out") == 0
    assert wavs(tmp_path / "out") == [name]


@pytest.mark.parametrize("max_seconds", ["-5", "0", ".nan", ".inf"])
def test_impossible_lengths_are_refused(
    trained: Path,
    speech: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    max_seconds: str,
) -> None:
    assert run(trained, speech, tmp_path / "out", "--max_seconds", max_seconds) == 2
    assert "expected a finite number > 0" in capsys.readouterr().err
    ends = ["--first", str(speech / "clip_001.wav"), "--second", str(speech / "clip_002.wav")]
    words = ["--model", str(trained / "student"), "--out", str(tmp_path / "out"), *ends]
    assert main(["interpolate", *words, "--max_seconds", max_seconds]) == 2
    assert "expected a finite number > 0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_slow_run_keeps_its_work_beside_others(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    above, inner = tmp_path / "out", tmp_path / "out" / "inner"
    synthesise(tmp_path / "speech", num_utterances=3, seconds=0.6)
    words = ["--model", str(trained / "student"), "--input", str(tmp_path / "speech")]
    words = ["generate", *words, "--device", "cpu", "--out"]
    with subprocess.Popen(
        [sys.executable, "-c", WAITING, *words, str(inner)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as slow:
        assert slow.stdout is not None
        assert "writing\n" in slow.stdout
        assert len(list(inner.glob(".*.tmp"))) == 1
        assert main([*words, str(above)]) == 0
        prepared = ["--corpus", str(tmp_path / "speech"), "--dump", str(above)]
        assert main(["prepare", "--recipe", "tiny", *prepared]) == 0
        assert main([*words, str(inner)]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert f"{inner}: in use by another run (process {slow.pid} on " in error
        slow.communicate("go on\n")
    assert slow.returncode == 0
    assert wavs(inner) == ["clip_000.wav", "clip_001.wav", "clip_002.wav"]
    for name in wavs(inner):  # a sample depends on the seed and the name alone
        assert (inner / name).read_bytes() == (above / name).read_bytes()


def wavs(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.wav"))
