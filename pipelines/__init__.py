"""The program: command line, training, generation, evaluation, benchmark, report and density."""

from typing import TYPE_CHECKING

import storage.cache_folders  # noqa: F401  # before anything imports numba or Matplotlib
from storage.on_demand import on_demand

if TYPE_CHECKING:
    from pipelines.recipe import Recipe, TrainingConfig
    from pipelines.recipes import find_recipe
else:
    __getattr__ = on_demand(__name__)

__all__ = ["Recipe", "TrainingConfig", "find_recipe"]
