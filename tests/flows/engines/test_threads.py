"""Threads of compiled code and of PyTorch."""

import os
import threading
from collections.abc import Iterator

import pytest
import torch

from flows.engines.threads import each_on_one_thread, num_threads, pytorch_threads


@pytest.fixture(autouse=True)
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def test_threads_do_not_exceed_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 7}, raising=False)
    assert num_threads() == 3
    torch.set_num_threads(2)
    assert num_threads() == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert num_threads() == 1


def test_pytorch_keeps_to_one_thread_for_a_while() -> None:
    with pytorch_threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 4
    with pytest.raises(ZeroDivisionError), pytorch_threads(1):
        _ = 1 / 0
    assert torch.get_num_threads() == 4


def test_pieces_are_made_on_one_thread() -> None:
    within = (torch.get_num_threads() for _ in range(2))
    for threads in each_on_one_thread(within):
        assert (threads, torch.get_num_threads()) == (1, 4)
    assert torch.get_num_threads() == 4


def test_blocks_of_overlapping_threads_restore_the_number_from_before_them() -> None:
    entered, left = threading.Event(), threading.Event()
    found = []

    def second() -> None:
        with pytorch_threads(1):
            entered.set()
            left.wait()
        found.append(torch.get_num_threads())

    with pytorch_threads(1):
        thread = threading.Thread(target=second)
        thread.start()
        entered.wait()
    left.set()
    thread.join()
    third = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    third.start()
    third.join()
    assert [*found, torch.get_num_threads()] == [4, 4, 4]
