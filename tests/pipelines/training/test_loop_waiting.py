"""A training step never makes the host wait for the device."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pipelines import Recipe
from pipelines.commands import train as commands
from pipelines.training import loop as training
from pipelines.training.deferred import Deferred
from student import ExcitationConfig
from tests.pipelines.conftest import RECIPE

VOICED = dataclasses.replace(
    RECIPE,
    student=dataclasses.replace(
        RECIPE.student,
        frame_length=16,
        filter_order=4,
        excitation=ExcitationConfig(kind="voice", voice_order=16),
    ),
    distillation=dataclasses.replace(
        RECIPE.distillation, initialise_context=False, adversarial_weight=1.0, mel_weight=1.0
    ),
)


class Questions(TorchDispatchMode):
    """Counts operations that read numbers: `bool`, `float`, `item`, shapes that depend on them."""

    num_asked = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        words = ("_local_scalar_dense", "nonzero", "masked_select", "unique")
        asks = any(word in str(function) for word in words)
        if function in (torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default):
            asks |= any(where is not None and where.dtype == torch.bool for where in args[1])
        self.num_asked += asks
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("ask", [bool, float, lambda x: x[x > 0], torch.Tensor.item])
def test_reading_a_number_back_is_noticed(ask: Callable[[torch.Tensor], object]) -> None:
    with Questions() as questions:
        ask(torch.ones(1))
    assert questions.num_asked


@pytest.mark.parametrize("recipe", [RECIPE, VOICED], ids=["plain", "voiced and adversarial"])
def test_steps_read_no_number_back(
    recipe: Recipe, dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, counts = training._Run.step, []

    def watched(run: training._Run, *arguments: Any) -> dict[str, float | torch.Tensor]:
        with Questions() as questions:
            scalars = step(run, *arguments)
        counts.append(questions.num_asked)
        return scalars

    monkeypatch.setattr(training._Run, "step", watched)
    commands.train_teacher(recipe, dump=dump, exp=tmp_path, device="cpu")
    commands.distill(recipe, dump=dump, exp=tmp_path, device="cpu")
    assert counts == [0] * 12


def test_deferred_numbers_arrive_as_they_were() -> None:
    numbers = torch.tensor([1.0, torch.nan, torch.inf, -2.5])
    torch.testing.assert_close(
        torch.tensor(Deferred(numbers).read()), numbers, rtol=0, atol=0, equal_nan=True
    )
