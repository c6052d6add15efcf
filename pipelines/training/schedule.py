"""The learning rate and the random seed of a step, computed from its number."""

import math

import numpy as np
import torch

from pipelines.recipe import TrainingConfig


def learning_rate_at(step: int, config: TrainingConfig) -> float:
    """Return a step's learning rate: a linear warm-up, then a cosine to the final ratio."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.max_steps - config.warmup_steps)
    low = config.final_learning_rate_ratio
    factor = low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return config.learning_rate * factor


def seed_step(seed: int, step: int, process: int) -> None:
    """Seed torch's generators by the numbers of the run's seed, the step and the process alone."""
    words = np.random.SeedSequence([seed, step, process]).generate_state(1, np.uint64)
    torch.manual_seed(int(words[0]))
