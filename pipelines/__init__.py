"""What a person runs: command line, training loop, generation, evaluation, benchmark."""

from typing import TYPE_CHECKING

from storage.on_demand import on_demand

if TYPE_CHECKING:
    from pipelines.recipe import Recipe, TrainingConfig
    from pipelines.recipes import find_recipe
else:
    __getattr__ = on_demand(__name__)

__all__ = ["Recipe", "TrainingConfig", "find_recipe"]
