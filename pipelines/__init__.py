"""What a person runs: command line, training loop, generation, evaluation, benchmark."""

from pipelines.recipe import Recipe, TrainingConfig, find_recipe

__all__ = ["Recipe", "TrainingConfig", "find_recipe"]
