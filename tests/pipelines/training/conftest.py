"""Runs of the training loop that tests interrupt and compare."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from pipelines import Recipe
from pipelines.commands import train as commands
from pipelines.training import loop as training
from pipelines.training.checkpoints import list_checkpoints
from tests.pipelines.conftest import RECIPE


def curve(folder: Path) -> list[dict[str, float]]:
    """Return the logged values without the times."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def assert_same_run(found: Path, expected: Path) -> None:
    """Compare two run folders to the last bit."""
    for name in ("config.json", "model.safetensors"):
        assert (found / name).read_bytes() == (expected / name).read_bytes()
    # The names hold a digest of all tensors and counters.
    names = [list_checkpoints(folder / "checkpoints")[0].name for folder in (found, expected)]
    assert names[0] == names[1]
    assert curve(found) == curve(expected)


class Training:
    """Trains one of the two models, always by one command."""

    def __init__(self, kind: str, dump: Path, trained: Path, exp: Path) -> None:
        self.kind, self.dump, self.trained, self.folder = kind, dump, trained, exp / kind

    def __call__(self, recipe: Recipe = RECIPE) -> None:
        exp = self.folder.parent
        if self.kind == "teacher":
            commands.train_teacher(recipe, dump=self.dump, exp=exp, device="cpu")
        else:
            teacher = self.trained / "teacher"
            commands.distill(recipe, dump=self.dump, exp=exp, device="cpu", teacher=teacher)


@pytest.fixture(params=["teacher", "student"])
def run(request: pytest.FixtureRequest, dump: Path, trained: Path, tmp_path: Path) -> Training:
    return Training(request.param, dump, trained, tmp_path)


def interrupt_after(
    monkeypatch: pytest.MonkeyPatch, steps: set[int], interrupt: Callable[[], None]
) -> None:
    """Call `interrupt` after each of these steps."""
    train = training.train

    def act(step: int) -> None:
        if step in steps:
            interrupt()

    monkeypatch.setattr(commands, "train", partial(train, on_step=act))
