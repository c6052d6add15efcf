"""Workers that start at once, because a server has loaded the program for all tests."""

import multiprocessing

import pytest

from pipelines.training.parallel import launch


@pytest.fixture(autouse=True)
def quick_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands within the test's process start copies of a server.

    Commands in processes of their own start workers as users' commands do.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipelines.commands.train", "pipelines.training.loop"])
    monkeypatch.setattr(launch, "CONTEXT", context)
