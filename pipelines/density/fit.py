"""Maximum likelihood with early stopping, for densities of tables."""

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from flows.families import FamilyConfig
from flows.initialisation import initialise
from pipelines.density.model import DensityModel
from pipelines.density.rows import Rows
from pipelines.training.ema import Average
from pipelines.training.errors import TrainingError

CHUNK_ROWS = 1024
"""Number of rows that are scored at once."""

INITIAL_ROWS = 10_000
"""Number of rows that initialise the layers; marginals and principal axes need no more."""


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Settings of the fit of a density.

    Args:
        max_epochs: largest number of passes over the training rows.
        patience: number of epochs without a better validation after which the fit ends.
        batch_size: number of rows in a step.
        learning_rate: Adam's learning rate.
        weight_decay: decay of the networks' matrices, per unit of learning rate and decoupled from
            the gradient. Biases, scales, rotations and mixtures do not decay.
        gradient_clip: largest gradient norm.
        ema_decay: decay of the averaged weights, which are validated and kept.
        seed: seed of weights, batches and noise.
    """

    max_epochs: int = 500
    patience: int = 20
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    gradient_clip: float = 10.0
    ema_decay: float = 0.99
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("max_epochs", "patience", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")
        for name in ("learning_rate", "gradient_clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a finite number > 0")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay is {self.weight_decay}, expected a finite number >= 0")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay is {self.ema_decay}, expected 0 to 1, 1 excluded")


@dataclass(frozen=True)
class Epoch:
    """The results of one pass over the training rows.

    Args:
        train: mean log-likelihood of the training rows during the epoch, nats.
        val: mean log-likelihood of the validation rows after the epoch, under the averaged weights,
            nats.
        seconds: seconds since the fit began.
    """

    train: float
    val: float
    seconds: float


@dataclass(frozen=True)
class Likelihood:
    """The mean log-likelihood of held-out rows and its standard error, in nats."""

    nats: float
    standard_error: float
    num_rows: int

    @classmethod
    def of(cls, log_prob: Tensor) -> "Likelihood":
        """Average log-densities, shape (N,); the standard error of a single one is NaN."""
        error = float(log_prob.std()) / math.sqrt(len(log_prob)) if len(log_prob) > 1 else math.nan
        return cls(float(log_prob.mean()), error, len(log_prob))


def start_model(family: FamilyConfig, rows: Rows, seed: int) -> DensityModel:
    """Build a model with seeded weights, and initialise its layers from the training rows."""
    torch.manual_seed(seed)
    model = DensityModel(family)
    model.set_statistics(rows.mean, rows.covariance.diagonal().sqrt())
    train = rows.noisy_train(torch.Generator().manual_seed(seed))
    initialise(model.flow.transform, model.standardise(train[:INITIAL_ROWS]))
    return model


def fit(model: DensityModel, rows: Rows, config: FitConfig) -> list[Epoch]:
    """Fit a model by maximum likelihood.

    Afterwards the model has the averaged weights (`FitConfig.ema_decay`) of the best epoch.

    Args:
        model: the result of `start_model`, on the device of the computation.
        rows: training and validation rows.
        config: number of epochs, learning rate and so on.
    Returns:
        all epochs; the best one has the largest `val`.
    Raises:
        TrainingError: after an epoch in which no step had a finite gradient.
    """
    optimizer = torch.optim.AdamW(
        parameter_groups(model, config.weight_decay), lr=config.learning_rate
    )
    averaged = Average(model, config.ema_decay).requires_grad_(False)
    average = averaged.module
    assert isinstance(average, DensityModel)
    generator = torch.Generator().manual_seed(config.seed)
    epochs: list[Epoch] = []
    best, best_at, best_state = -math.inf, 0, copy.deepcopy(average.state_dict())
    started = time.monotonic()
    with tqdm(total=config.max_epochs, desc=model.config.family, unit="epoch", leave=False) as bar:
        while len(epochs) < config.max_epochs and len(epochs) - best_at < config.patience:
            train = _train_epoch(model, averaged, optimizer, rows, config, generator)
            val = float(log_prob(average, rows.val).mean())
            epochs.append(Epoch(train, val, time.monotonic() - started))
            if val > best:
                best, best_at = val, len(epochs)
                best_state = copy.deepcopy(average.state_dict())
            bar.update()
            bar.set_postfix(val=f"{val:.3f}", best=f"{best:.3f}")
    model.load_state_dict(best_state)
    return epochs


def best_epoch(epochs: Sequence[Epoch]) -> int:
    """Return the index of the epoch with the largest `val`; NaN counts as the smallest value."""
    return max(range(len(epochs)), key=lambda i: (not math.isnan(epochs[i].val), epochs[i].val))


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Separate the networks' matrices, which decay, from all other parameters."""
    matrices = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)}
    decayed = [p for p in model.parameters() if id(p) in matrices]
    others = [p for p in model.parameters() if id(p) not in matrices]
    groups = (decayed, weight_decay), (others, 0.0)
    return [{"params": params, "weight_decay": decay} for params, decay in groups if params]


def _train_epoch(
    model: DensityModel,
    averaged: AveragedModel,
    optimizer: torch.optim.Optimizer,
    rows: Rows,
    config: FitConfig,
    generator: torch.Generator,
) -> float:
    """Pass once over the training rows; return the mean log-likelihood of the steps made."""
    train = rows.noisy_train(generator).to(model.mean.device)
    order = torch.randperm(len(train), generator=generator)
    # A last batch that is not full is left out, because its rows would weigh more; its rows differ
    # from epoch to epoch.
    batch_size = min(config.batch_size, len(train))
    taken: list[Tensor] = []
    for batch in order[: len(order) - len(order) % batch_size].split(batch_size):
        nats = model.log_prob(train[batch]).mean()
        optimizer.zero_grad()
        (-nats).backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip)
        if torch.isfinite(norm):
            optimizer.step()
            averaged.update_parameters(model)
            taken.append(nats.detach())
    if not taken:
        raise TrainingError(
            f"{model.config.family}: no step of an epoch had a finite gradient: lower "
            "learning_rate, or look for extreme values in the table"
        )
    return float(torch.stack(taken).mean())


def log_prob(model: DensityModel, x: Tensor) -> Tensor:
    """Score rows (N, D) without gradients; return log-densities in nats, shape (N,), on the CPU."""
    with torch.no_grad():
        chunks = x.to(model.mean.device).split(CHUNK_ROWS)
        return torch.cat([model.log_prob(chunk).cpu() for chunk in chunks])
