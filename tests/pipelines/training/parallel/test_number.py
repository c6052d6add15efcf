"""How many processes share a batch."""

import dataclasses

import pytest

from data import MelConfig
from pipelines import TrainingConfig
from pipelines.training.parallel import number
from pipelines.training.parallel.number import SECONDS_WORTH_PROCESSES, number_of_processes

MEL = MelConfig()
STEP = 6 * 32 * MEL.hop_length / MEL.sample_rate  # seconds of audio
LONG = TrainingConfig(batch_size=6, segment_frames=32, max_steps=2 * int(SECONDS_WORTH_PROCESSES))
SHORT = dataclasses.replace(LONG, max_steps=int(SECONDS_WORTH_PROCESSES / STEP))


@pytest.mark.parametrize(("processors", "expected"), [(1, 1), (2, 2), (4, 3), (5, 3), (64, 6)])
def test_there_is_a_process_for_each_processor_that_shares_the_batch(
    processors: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(number, "num_processors", lambda: processors)
    assert number_of_processes("auto", LONG, MEL, "cpu") == expected


def test_short_runs_gpus_and_launched_processes_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number, "num_processors", lambda: 4)
    assert number_of_processes("auto", SHORT, MEL, "cpu") == 1
    assert number_of_processes(2, SHORT, MEL, "cpu") == 2
    assert number_of_processes("auto", LONG, MEL, "cuda") == 1
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert number_of_processes("auto", LONG, MEL, "cpu") == 1
    assert number_of_processes(1, LONG, MEL, "cpu") == 1
    with pytest.raises(ValueError, match="processes is 2, expected 1: a launcher has started 2"):
        number_of_processes(2, LONG, MEL, "cpu")


@pytest.mark.parametrize("processes", [0, -1, 4, 12])
def test_processes_that_cannot_share_the_batch_are_refused(processes: int) -> None:
    message = f"processes is {processes}, expected a divisor of batch_size 6: 1, 2, 3, 6"
    with pytest.raises(ValueError, match=message):
        number_of_processes(processes, LONG, MEL, "cpu")


def test_several_processes_on_a_gpu_need_a_launcher() -> None:
    with pytest.raises(ValueError, match="processes is 2, expected 1 on cuda: a launcher"):
        number_of_processes(2, LONG, MEL, "cuda")
