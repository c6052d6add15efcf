"""Stopping: by SIGINT, SIGTERM and SIGHUP, from the command line and between steps."""

import json
import signal
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from pipelines.cli import main
from pipelines.commands import train as commands
from pipelines.training import loop as training
from pipelines.training.checkpoints import list_checkpoints, step_of
from pipelines.training.signals import (
    ECHO_SECONDS,
    Terminated,
    stop_requests,
    termination_as_interrupt,
)
from tests.pipelines.conftest import RECIPE

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers_are_restored() -> object:
    before = [signal.getsignal(each) for each in SIGNALS]
    yield
    assert before == [signal.getsignal(each) for each in SIGNALS]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_recorded(number: signal.Signals) -> None:
    with stop_requests() as request:
        assert request.received is None
        signal.raise_signal(number)
        assert request.received == number


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Handle SIGINT as Python does; a shell ignores SIGINT for programs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_second_signal_acts_unless_it_is_an_echo() -> None:
    with stop_requests() as request:
        signal.raise_signal(signal.SIGTERM)
        assert request.received == signal.SIGTERM
        signal.raise_signal(signal.SIGINT)
        request.time -= ECHO_SECONDS
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_termination_unwinds_like_an_interrupt(number: signal.Signals) -> None:
    with pytest.raises(Terminated) as caught, termination_as_interrupt():
        signal.raise_signal(number)
    assert caught.value.received == number


def test_an_ignored_hangup_stays_ignored_as_under_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with termination_as_interrupt(), stop_requests() as request:
            signal.raise_signal(signal.SIGHUP)
            assert request.received is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_threads_other_than_the_main_one_record_no_signals() -> None:
    requests = []

    def use() -> None:
        with stop_requests() as request, termination_as_interrupt():
            requests.append(request.received)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert requests == [None]


@pytest.fixture
def words(dump: Path, tmp_path: Path) -> list[str]:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps(RECIPE.to_dict()))  # JSON is YAML
    folders = ["--dump", str(dump), "--exp", str(tmp_path / "exp")]
    return ["train-teacher", "--recipe", str(recipe), *folders, "--device", "cpu"]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_stopped_command_says_so_and_resumes(
    words: list[str],
    tmp_path: Path,
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop(step: int) -> None:
        if step == 2:
            signal.raise_signal(number)

    with monkeypatch.context() as patch:
        patch.setattr(commands, "train", partial(training.train, on_step=stop))
        assert main(words) == 128 + number
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"stopped by {number.name} after step 2, saved in {tmp_path}" in error
    assert error.endswith("; the same command resumes")
    (checkpoint,) = list_checkpoints(tmp_path / "exp" / "teacher" / "checkpoints")
    assert step_of(checkpoint) == 2
    assert main(words) == 0
    assert "resuming at step 2" in capsys.readouterr().out


def test_a_terminated_command_cleans_up(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def terminate(*_arguments: object, **_options: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(commands, "train", terminate)
    assert main(words) == 143
    assert "interrupted; the same command resumes" in capsys.readouterr().err
