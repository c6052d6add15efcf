"""This project's MAF and zuko's, trained alike: `python -m pipelines.density.zuko_comparison`."""

import dataclasses
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jsonargparse import auto_cli
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from data import read_table
from flows import Flow, StandardNormal
from flows.families import build_family, family_config
from pipelines.density.fit import FitConfig, parameter_groups
from pipelines.density.mixture import MissingExtraError
from pipelines.density.rows import Rows
from pipelines.density.study_tables import study_table
from pipelines.training.ema import Average
from pipelines.workspace import commit
from storage.atomic import write_file


@dataclass
class Contestant:
    """A model in training, with its measurements.

    Args:
        model: a flow of standardised rows.
        log_prob: scores rows (B, D) under such a model, shape (B,).
        optimizer: optimiser of the model's parameters.
        averaged: the model with averaged weights, which is validated and tested.
    """

    model: nn.Module
    log_prob: Callable[[nn.Module, Tensor], Tensor]
    optimizer: torch.optim.Optimizer
    averaged: AveragedModel
    milliseconds: list[float] = field(default_factory=list)
    best_val: float = -math.inf
    test_at_best: float = -math.inf

    def step(self, batch: Tensor, gradient_clip: float) -> None:
        """Make a training step, and time it without the averaging."""
        started = time.perf_counter()
        loss = -self.log_prob(self.model, batch).mean()
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), gradient_clip)
        self.optimizer.step()
        self.milliseconds.append(1000 * (time.perf_counter() - started))
        self.averaged.update_parameters(self.model)

    def validate(self, val: Tensor, test: Tensor) -> None:
        """Validate, and keep the test likelihood of the best validation."""
        with torch.no_grad():
            found = float(self.log_prob(self.averaged.module, val).mean())
            if found > self.best_val:
                self.best_val = found
                self.test_at_best = float(self.log_prob(self.averaged.module, test).mean())


def compare(
    table: str = "digits",
    num_layers: int = 5,
    hidden: tuple[int, ...] = (128, 128),
    max_steps: int = 2000,
    validate_every: int = 50,
    fit: FitConfig = FitConfig(),  # noqa: B008 (frozen)
    seeds: tuple[int, ...] = (0, 1, 2),
    threads: int = 1,
    corpora: Path = Path("corpora"),
    report: Path = Path("docs/results/density/zuko.json"),
) -> None:
    """Train one MAF of each library on equal batches, alternating their steps, and compare.

    Args:
        table: "digits" or "fashion", dequantised.
        num_layers: number of autoregressive affine layers.
        hidden: widths of each masked network.
        max_steps: number of training steps of each model.
        validate_every: steps between validations; the weights of the best one are tested.
        fit: batch size, learning rate, weight decay, clipping and averaging of both models.
        seeds: seeds of the split, the weights, the batches and the noise.
        threads: number of torch's threads.
        corpora: folder of the table's file.
        report: JSON file to write.
    """
    torch.set_num_threads(threads)
    contents = read_table(study_table(table, corpora))
    runs = []
    for seed in seeds:
        rows = Rows.from_table(contents, dequantize=True, seed=seed)
        scale = rows.covariance.diagonal().sqrt()
        val, test = (((x - rows.mean) / scale).float() for x in (rows.val, rows.test))
        contestants = {
            "ours": _enter(_ours(len(scale), num_layers, hidden, seed), _score_ours, fit),
            "zuko": _enter(_zuko(len(scale), num_layers, hidden, seed), _score_zuko, fit),
        }
        generator = torch.Generator().manual_seed(seed)
        for step in tqdm(range(1, max_steps + 1), desc=f"seed {seed}", unit="step"):
            chosen = torch.randint(len(rows.train), (fit.batch_size,), generator=generator)
            noise = torch.rand(fit.batch_size, len(scale), generator=generator, dtype=torch.float64)
            x = rows.train[chosen] + noise * rows.is_discrete
            batch = ((x - rows.mean) / scale).float()
            order = list(contestants.values())
            for contestant in order if step % 2 else reversed(order):
                contestant.step(batch, fit.gradient_clip)
            if step % validate_every == 0:
                for contestant in order:
                    contestant.validate(val, test)
        offset = -float(scale.log().sum())
        runs.append({name: _measured(c, offset) for name, c in contestants.items()})
    result = summary(runs)
    print(json.dumps(result, indent=2))
    described = {
        "table": table,
        "num_layers": num_layers,
        "hidden": list(hidden),
        "max_steps": max_steps,
        "fit": dataclasses.asdict(fit),
        "seeds": list(seeds),
        "threads": threads,
        "commit": commit(),
    }
    write_file(report, json.dumps({**described, **result, "runs": runs}, indent=2) + "\n")


def summary(runs: list[dict[str, dict[str, Any]]]) -> dict[str, float]:
    """Average the measurements of both models over seeds.

    Returns:
        means of the test nats; the mean difference, ours less zuko's, with its standard error over
        seeds; medians over seeds of the median step time and of the ratio, ours over zuko's.
    """
    differences = [run["ours"]["test_nats"] - run["zuko"]["test_nats"] for run in runs]
    ratios = [run["ours"]["median_step_ms"] / run["zuko"]["median_step_ms"] for run in runs]
    error = statistics.stdev(differences) / math.sqrt(len(runs)) if len(runs) > 1 else math.nan
    means = {
        f"{name}_test_nats": statistics.mean(run[name]["test_nats"] for run in runs)
        for name in ("ours", "zuko")
    }
    steps = {
        f"{name}_step_ms": statistics.median(run[name]["median_step_ms"] for run in runs)
        for name in ("ours", "zuko")
    }
    return {
        **means,
        "nats_above_zuko": statistics.mean(differences),
        "nats_above_zuko_error": error,
        **steps,
        "step_time_over_zuko": statistics.median(ratios),
    }


def _ours(num_features: int, num_layers: int, hidden: tuple[int, ...], seed: int) -> Flow:
    torch.manual_seed(seed)
    sizes = family_config("maf", num_features, num_layers=num_layers, hidden=hidden)
    return Flow(StandardNormal(), build_family(sizes))


def _score_ours(model: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(model, Flow)
    return model.log_prob(x)


def _zuko(num_features: int, num_layers: int, hidden: tuple[int, ...], seed: int) -> nn.Module:
    try:
        import zuko
    except ImportError as error:
        raise MissingExtraError("the comparison needs zuko: ./setup.sh --extras study") from error
    torch.manual_seed(seed)
    return zuko.flows.MAF(num_features, transforms=num_layers, hidden_features=hidden)


def _score_zuko(model: nn.Module, x: Tensor) -> Tensor:
    return model().log_prob(x)


def _enter(
    model: nn.Module, log_prob: Callable[[nn.Module, Tensor], Tensor], config: FitConfig
) -> Contestant:
    optimizer = torch.optim.AdamW(
        parameter_groups(model, config.weight_decay), lr=config.learning_rate
    )
    averaged = Average(model, config.ema_decay).requires_grad_(False)
    return Contestant(model, log_prob, optimizer, averaged)


def _measured(contestant: Contestant, offset: float) -> dict[str, Any]:
    return {
        "test_nats": contestant.test_at_best + offset,
        "val_nats": contestant.best_val + offset,
        "median_step_ms": statistics.median(contestant.milliseconds),
        "num_params": sum(p.numel() for p in contestant.model.parameters()),
    }


if __name__ == "__main__":
    try:
        auto_cli(compare)
    except ValueError as error:
        sys.exit(f"zuko_comparison: {error}")
