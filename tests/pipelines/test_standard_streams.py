"""Closed streams, a full disk behind standard output, and an interpreter without docstrings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = [sys.executable, "-c", "import sys; from pipelines.cli import main; sys.exit(main())"]


def run(words: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the program from a shell, so that streams can be closed as users close them."""
    return subprocess.run(
        ["bash", "-c", f'"$@" {words}', "bash", *PROGRAM],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env=os.environ | changes,
    )


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["2>&-", ">&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_end_a_command(trained: Path, tmp_path: Path, closed: str) -> None:
    words = f"--model {trained}/teacher --input {tmp_path}/v --out {tmp_path}/o --device cpu"
    from data import synthesise

    synthesise(tmp_path / "v", num_utterances=2, seconds=0.3)
    done = run(f"generate {words} {closed}")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in (tmp_path / "o").glob("*.wav")) == [
        "clip_000.wav",
        "clip_001.wav",
    ]


@pytest.mark.slow
def test_a_closed_standard_output_gets_no_audio(trained: Path, tmp_path: Path) -> None:
    words = f"--model {trained}/teacher --input x.wav --out - --device cpu >&-"
    done = run(f"generate {words}")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "parallel-wavenet generate: loading PyTorch",
        "parallel-wavenet: out is -, but standard output is closed",
    ]


@pytest.mark.slow
def test_help_works_without_docstrings(tmp_path: Path) -> None:
    done = run("generate --help", PYTHONOPTIMIZE="2")
    assert done.returncode == 0
    assert "usage: parallel-wavenet" in done.stdout


PROGRAMS_HELP = ["--help", "generate --help"]
COMMANDS = [
    "generate --model {0}/student --input {1}/v --out {1}/o --device cpu",
    "evaluate --student {0}/student --input {1}/v --systems recording student --device cpu",
    "benchmark --teacher {0}/teacher --student {0}/student --seconds 0.02 --naive_samples 2 "
    "--rounds 1 --device cpu",
]


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
@pytest.mark.parametrize("words", [*PROGRAMS_HELP, *COMMANDS])
def test_a_full_disk_behind_standard_output_is_told_in_one_line(
    trained: Path, tmp_path: Path, words: str
) -> None:
    from data import synthesise

    synthesise(tmp_path / "v", num_utterances=1, seconds=0.3)
    done = run(f"{words.format(trained, tmp_path)} > /dev/full")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    *before, last = done.stderr.splitlines()
    assert last == "parallel-wavenet: [Errno 28] No space left on device"
    assert not [line for line in before if "Errno" in line]
