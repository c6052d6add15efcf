"""The same MAF here and in zuko, step by step: `python -m pipelines.density.zuko_comparison`."""

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
from tqdm import tqdm

from data import read_table
from flows import Flow, StandardNormal
from flows.atomic import atomic_write
from flows.families import build_family, family_config
from pipelines.density.mixture import MissingExtraError
from pipelines.density.rows import Rows
from pipelines.density.study_tables import study_table
from pipelines.workspace import commit


@dataclass
class Contestant:
    """A model in training, and what is measured of it."""

    model: nn.Module
    log_prob: Callable[[Tensor], Tensor]
    optimizer: torch.optim.Optimizer
    milliseconds: list[float] = field(default_factory=list)
    best_val: float = -math.inf
    test_at_best: float = -math.inf

    def step(self, batch: Tensor, gradient_clip: float) -> None:
        """Take one training step and time it."""
        started = time.perf_counter()
        loss = -self.log_prob(batch).mean()
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), gradient_clip)
        self.optimizer.step()
        self.milliseconds.append(1000 * (time.perf_counter() - started))

    def validate(self, val: Tensor, test: Tensor) -> None:
        """Keep the test likelihood of the best validation."""
        with torch.no_grad():
            found = float(self.log_prob(val).mean())
            if found > self.best_val:
                self.best_val = found
                self.test_at_best = float(self.log_prob(test).mean())


def compare(
    table: str = "digits",
    num_layers: int = 5,
    hidden: tuple[int, ...] = (128, 128),
    max_steps: int = 1500,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    gradient_clip: float = 10.0,
    validate_every: int = 50,
    seeds: tuple[int, ...] = (0, 1, 2),
    threads: int = 1,
    corpora: Path = Path("corpora"),
    report: Path = Path("docs/results/density/zuko.json"),
) -> None:
    """Train the same MAF here and in zuko on the same batches, steps in turn, and compare.

    Args:
        table: "digits" or "fashion", dequantised.
        num_layers: autoregressive affine layers.
        hidden: widths of each masked network.
        max_steps: training steps of each.
        batch_size: rows per step.
        learning_rate: Adam's.
        gradient_clip: largest gradient norm.
        validate_every: steps between validations; the best decides which weights are tested.
        seeds: of the division, the weights, the batches and the noise.
        threads: of torch.
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
            "ours": _ours(len(scale), num_layers, hidden, learning_rate, seed),
            "zuko": _zuko(len(scale), num_layers, hidden, learning_rate, seed),
        }
        generator = torch.Generator().manual_seed(seed)
        for step in tqdm(range(1, max_steps + 1), desc=f"seed {seed}", unit="step"):
            chosen = torch.randint(len(rows.train), (batch_size,), generator=generator)
            noise = torch.rand(batch_size, len(scale), generator=generator, dtype=torch.float64)
            x = rows.train[chosen] + noise * rows.is_discrete
            batch = ((x - rows.mean) / scale).float()
            order = list(contestants.values())
            for contestant in order if step % 2 else reversed(order):
                contestant.step(batch, gradient_clip)
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
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "seeds": list(seeds),
        "threads": threads,
        "commit": commit(),
    }
    with atomic_write(report) as file:
        file.write((json.dumps({**described, **result, "runs": runs}, indent=2) + "\n").encode())


def summary(runs: list[dict[str, dict[str, Any]]]) -> dict[str, float]:
    """Average over seeds what was measured of both.

    Returns:
        means of the test nats; their difference, ours less zuko's, with the standard error over
        seeds; medians over seeds of the median step; and of their ratio, ours over zuko's.
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


def _ours(
    num_features: int, num_layers: int, hidden: tuple[int, ...], learning_rate: float, seed: int
) -> Contestant:
    torch.manual_seed(seed)
    sizes = family_config("maf", num_features, num_layers=num_layers, hidden=hidden)
    flow = Flow(StandardNormal(), build_family(sizes))
    return Contestant(flow, flow.log_prob, torch.optim.Adam(flow.parameters(), lr=learning_rate))


def _zuko(
    num_features: int, num_layers: int, hidden: tuple[int, ...], learning_rate: float, seed: int
) -> Contestant:
    try:
        import zuko
    except ImportError as error:
        raise MissingExtraError("the comparison needs zuko: ./setup.sh --extras study") from error
    torch.manual_seed(seed)
    flow = zuko.flows.MAF(num_features, transforms=num_layers, hidden_features=hidden)

    def log_prob(x: Tensor) -> Tensor:
        return flow().log_prob(x)

    return Contestant(flow, log_prob, torch.optim.Adam(flow.parameters(), lr=learning_rate))


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
