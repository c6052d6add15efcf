"""Small tasks train on one thread, and commands wait without spinning."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from pipelines.training.threads import SMALL_PARAMETERS, settle_threads

CPU = torch.device("cpu")


@pytest.fixture
def four_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def test_a_small_task_trains_on_one_thread_and_says_so(four_threads: None) -> None:
    assert "one thread" in (settle_threads(nn.Linear(4, 4), CPU) or "")
    assert torch.get_num_threads() == 1
    assert settle_threads(nn.Linear(4, 4), CPU) is None


def test_a_large_task_keeps_its_threads(four_threads: None) -> None:
    large = nn.Linear(SMALL_PARAMETERS, 1, device="meta")
    assert settle_threads(large, CPU) is None
    assert torch.get_num_threads() == 4


def test_a_requested_number_of_threads_is_used(
    four_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert settle_threads(nn.Linear(4, 4), CPU) is None
    assert torch.get_num_threads() == 4


def test_threads_do_not_change_on_a_gpu(four_threads: None) -> None:
    assert settle_threads(nn.Linear(4, 4), torch.device("cuda")) is None
    assert torch.get_num_threads() == 4


@pytest.mark.parametrize(("given", "found"), [(None, "passive"), ("active", "active")])
def test_commands_wait_without_spinning_unless_told(given: str | None, found: str) -> None:
    script = (
        "import os, sys; from pipelines.cli import main; code = main(['--help']);"
        " sys.stderr.write(os.environ['OMP_WAIT_POLICY'])"
    )
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    if given is not None:
        environment["OMP_WAIT_POLICY"] = given
    wrapped = f"try:\n    exec({script!r})\nexcept SystemExit:\n"
    wrapped += "    import os, sys; sys.stderr.write(os.environ['OMP_WAIT_POLICY'])"
    done = subprocess.run(
        [sys.executable, "-c", wrapped], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr.endswith(found)
