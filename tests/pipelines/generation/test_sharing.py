"""Inputs that several processes draw."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from data import read_waveform, synthesise
from data.prepared import parallel
from pipelines.cli import main
from pipelines.generation.sharing import choose_processes


def words(trained: Path, speech: Path, out: Path, processes: str) -> list[str]:
    model = ["--model", str(trained / "student"), "--device", "cpu", "--processes", processes]
    return ["generate", *model, "--input", str(speech), "--out", str(out)]


def started(trained: Path, speech: Path, out: Path, before: str = "pass") -> subprocess.Popen[str]:
    """Start `generate` by two processes, in a session of its own, after a line of Python."""
    program = f"{before}; import sys; from pipelines.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, *words(trained, speech, out, "2")]
    return subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)


def started_with_many_inputs(trained: Path, speech: Path, out: Path) -> subprocess.Popen[str]:
    """Start `generate` with 1,000 inputs, and wait until both processes draw."""
    synthesise(speech, num_utterances=1, seconds=2.0)
    for number in range(999):  # so many that the run cannot end before the signal
        os.link(speech / "clip_000.wav", speech / f"copy_{number:03}.wav")
    run = started(trained, speech, out)
    while len(list(out.glob("*.wav"))) < 3:
        assert run.poll() is None
        time.sleep(0.05)
    return run


def drawn(trained: Path, speech: Path, out: Path, processes: str, *more: str) -> int:
    return main([*words(trained, speech, out, processes), *more])


@pytest.mark.slow
def test_two_processes_draw_the_files_that_one_draws(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    speech, bad = tmp_path / "speech", {"clip_000.wav", "clip_003.wav", "clip_005.wav"}
    synthesise(speech, num_utterances=7, seconds=0.3)
    for name in bad:
        (speech / name).write_text("not audio")
    good = [f"clip_{i:03}.wav" for i in range(7) if f"clip_{i:03}.wav" not in bad]
    printed = {}
    for processes in ("1", "2"):
        assert drawn(trained, speech, tmp_path / processes, processes) == 1
        printed[processes] = capsys.readouterr()
    for name in good:
        one, two = (read_waveform(tmp_path / folder / name, 16_000) for folder in "12")
        # The number of threads changes how a sum is rounded, by at most one step of 16 bits.
        assert np.abs(one - two).max() <= 1.5 / 2**15, name
    for folder in "12":
        lines = printed[folder].out.splitlines()
        assert [Path(line.split()[0]).name for line in lines[-4:]] == good
        last = printed[folder].err.splitlines()[-1]
        assert last == f"parallel-wavenet: 3 of 7 inputs gave nothing: {', '.join(sorted(bad))}"


def test_a_number_of_processes_below_one_is_refused(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    synthesise(tmp_path / "speech", num_utterances=2, seconds=0.3)
    assert drawn(trained, tmp_path / "speech", tmp_path / "out", "0") == 2
    assert "processes is 0, expected at least 1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_ctrl_c_ends_all_processes_and_the_run_can_be_continued(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    speech, out = tmp_path / "speech", tmp_path / "out"
    run = started_with_many_inputs(trained, speech, out)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does
    _, told = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Traceback" not in told
    assert "leaked" not in told
    written = {path.name for path in out.glob("*.wav")}
    left = [path for path in speech.glob("*.wav") if path.name not in written]
    assert len(left) > 5
    for path in left[5:]:
        path.unlink()
    assert drawn(trained, speech, out, "2", "--skip_existing", "true") == 0
    total = len(written) + 5
    assert f"{len(written)} of {total} are in {out} already" in capsys.readouterr().out
    assert len(list(out.glob("*.wav"))) == total
    assert drawn(trained, speech, out, "2", "--skip_existing", "true") == 0  # nothing is left


@pytest.mark.slow
def test_a_killed_process_ends_the_run_and_leaves_whole_files(
    trained: Path, tmp_path: Path
) -> None:
    speech, out = tmp_path / "speech", tmp_path / "out"
    run = started_with_many_inputs(trained, speech, out)
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    commands = {child: Path(f"/proc/{child}/cmdline").read_text() for child in children}
    workers = [int(child) for child, command in commands.items() if "spawn_main" in command]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)  # as the kernel does when memory runs out
    _, told = run.communicate(timeout=60)
    assert run.returncode == 2
    assert told.splitlines()[-1] == (
        "parallel-wavenet: a process was killed, perhaps because memory ran out; "
        "run again with fewer --processes"
    )
    assert "Traceback" not in told
    written = list(out.glob("*.wav"))
    assert 3 <= len(written) < 1000
    for path in written:
        assert len(read_waveform(path, 16_000)) == 32_000


@pytest.mark.slow
def test_a_full_disk_ends_all_processes(trained: Path, tmp_path: Path) -> None:
    speech, out = tmp_path / "speech", tmp_path / "out"
    synthesise(speech, num_utterances=1, seconds=0.3)  # drawn before the other processes start
    synthesise(tmp_path / "longer", num_utterances=1, seconds=2.0)
    for number in range(6):
        os.link(tmp_path / "longer" / "clip_000.wav", speech / f"longer_{number}.wav")
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2**15, 2**15))"
    run = started(trained, speech, out, limit)
    _, told = run.communicate(timeout=60)
    assert run.returncode == 2
    last = told.splitlines()[-1]
    assert re.fullmatch(
        rf"parallel-wavenet: \[Errno 27\] File too large: '{out}/longer_\d.wav'", last
    )
    assert "Traceback" not in told
    assert [path.name for path in out.glob("*.wav")] == ["clip_000.wav"]


def test_the_number_of_processes_is_that_of_processors_and_utterances(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parallel, "num_processors", lambda: 3)
    each = 8
    found = [choose_processes("auto", "cpu", count, each) for count in (1, 2 * each - 1, 2 * each)]
    assert found == [1, 1, 2]
    assert choose_processes("auto", "cpu", 100 * each, each) == 3
    assert choose_processes("auto", "cuda", 100 * each, each) == 1
    assert choose_processes(4, "cpu", 3, each) == 3
    with pytest.raises(ValueError, match="processes is 0, expected at least 1, and 1 on cuda"):
        choose_processes(0, "cpu", 1, each)
    with pytest.raises(ValueError, match="processes is 2, expected at least 1, and 1 on cuda"):
        choose_processes(2, "cuda", 1, each)
