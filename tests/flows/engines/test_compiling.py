"""What is compiled when samples are first drawn, and what the user is told of it."""

import subprocess
import sys
from pathlib import Path

import pytest
from numba.core import event

from flows.engines.cpu.parallel_pass import run_segment
from flows.engines.cpu.sample_loop import advance, advance_together
from flows.engines.cpu.segment import start_segment

DRAW = """
import torch
from numba.core import event
from teacher import Teacher, TeacherConfig
from student import Student, StudentConfig
from flows import WaveNetConfig

torch.set_num_threads(1)
compiled = []

class Listener(event.Listener):
    def on_start(self, event):
        compiled.append(event.data["dispatcher"].py_func.__module__)
    def on_end(self, event):
        pass

event.register("numba:compile", Listener())
mel = torch.randn(1, 80, 2)
wavenet = WaveNetConfig(num_layers=1, layers_per_cycle=1, residual_channels=8, skip_channels=8)
Teacher(TeacherConfig(wavenet=wavenet)).sample(mel)
Student(StudentConfig(flow_layers=(1,), layers_per_cycle=1, residual_channels=8)).sample(mel)
print(len(compiled), sum(name.startswith("numba.") for name in compiled))
"""


def test_a_large_function_is_announced_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    for function in (advance, advance_together, run_segment, start_segment):
        with event.trigger_event("numba:compile", data={"dispatcher": function}):
            pass
    lines = capsys.readouterr().err.splitlines()
    assert len(set(lines)) == len(lines) == 3
    for line, name in zip(lines, ("over samples", "on two threads", "parallel pass"), strict=True):
        assert line.startswith("parallel-wavenet: compiling the ")
        assert f"{name} for this processor, once: about " in line


@pytest.mark.slow
def test_few_functions_are_compiled_and_a_second_run_compiles_none(tmp_path: Path) -> None:
    found = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", DRAW],
            env={"PATH": "", "NUMBA_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        num_compiled, from_numba = map(int, done.stdout.split())
        found.append((num_compiled, from_numba, done.stderr.count("compiling")))
    # A slice's assignment alone would compile 20 functions of numba's for the message of an error.
    assert found[0][0] <= 27
    assert found[0][1] <= 12
    assert found[0][2] == 2
    assert found[1] == (0, 0, 0)
