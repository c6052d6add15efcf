"""Reverse KL: an IAF and a Gaussian with full covariance fitted to known densities.

The command is `python -m pipelines.density.reverse_kl`.
"""

import dataclasses
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jsonargparse import auto_cli
from torch import Tensor, nn
from tqdm import tqdm

from flows import Compose, DiagonalScale, Flow, LinearLU, StandardNormal
from flows.families import build_family, family_config
from pipelines.density.known import KNOWN, KnownDensity
from pipelines.workspace import commit
from storage.atomic import write_file

GAUSSIAN = "full Gaussian"


@dataclass(frozen=True, kw_only=True)
class ReverseKlConfig:
    """Settings of the fit of a flow to a density.

    Args:
        max_steps: number of steps of Adam; its learning rate falls to 0 along a cosine.
        batch_size: number of samples of the flow in a step.
        learning_rate: Adam's learning rate at the start.
        gradient_clip: largest gradient norm.
        seed: seed of weights and samples.
    """

    max_steps: int = 3000
    batch_size: int = 256
    learning_rate: float = 3e-3
    gradient_clip: float = 10.0
    seed: int = 0


@dataclass(frozen=True)
class Divergence:
    """A divergence in nats, estimated from independent draws, with its standard error."""

    nats: float
    standard_error: float

    @classmethod
    def of(cls, log_ratio: Tensor) -> "Divergence":
        """Average the log-ratios of the draws, shape (N,)."""
        return cls(float(log_ratio.mean()), float(log_ratio.std()) / math.sqrt(len(log_ratio)))


def fit_reverse_kl(flow: Flow, target: KnownDensity, config: ReverseKlConfig) -> None:
    r"""Fit a flow q to a density p from samples of q; p is only evaluated, never sampled.

    .. math:: \mathrm{KL}(q\,\|\,p) = \mathbb{E}_{z}\big[\log q(x(z)) - \log p(x(z))\big]

    An IAF draws and scores its samples in one parallel pass.

    Args:
        flow: the flow q; it is changed in place.
        target: the density p.
        config: number of steps, learning rate and so on.
    References:
        Normalizing flows for probabilistic modeling and inference (Papamakarios et al., 2021),
        sec. 2.3. arXiv:1912.02762
    """
    optimizer = torch.optim.Adam(flow.parameters(), lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.max_steps)
    generator = torch.Generator().manual_seed(config.seed)
    shape = (config.batch_size, target.num_features)
    for _ in tqdm(range(config.max_steps), unit="step", leave=False):
        x, log_prob = flow.rsample_with_log_prob(shape, generator=generator)
        loss = (log_prob - target.log_prob(x)).mean()
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(flow.parameters(), config.gradient_clip)
        if torch.isfinite(norm):
            optimizer.step()
        schedule.step()


def divergences(
    flow: Flow, target: KnownDensity, num_draws: int, seed: int
) -> tuple[Divergence, Divergence]:
    """Estimate KL(q ‖ p), which the fit minimises, from q's draws, and KL(p ‖ q) from p's."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        x, log_q = flow.rsample_with_log_prob((num_draws, target.num_features), None, generator)
        reverse = Divergence.of(log_q - target.log_prob(x))
        x = target.sample(num_draws, generator)
        return reverse, Divergence.of(target.log_prob(x) - flow.log_prob(x))


def reverse_kl(
    densities: list[str] | None = None,
    fit: ReverseKlConfig = ReverseKlConfig(),
    num_draws: int = 50_000,
    report: Path = Path("docs/results/density"),
) -> None:
    """Fit an IAF and a full-covariance Gaussian to known densities by reverse KL, and tabulate.

    Args:
        densities: "banana", "ring", "funnel"; default: all.
        fit: settings of both fits.
        num_draws: number of new samples that estimate each divergence.
        report: gets reverse_kl.json and reverse_kl.md.
    Raises:
        ValueError: if a density is unknown.
    """
    names = list(KNOWN) if densities is None else densities
    for name in names:
        if name not in KNOWN:
            raise ValueError(f"density is {name!r}, expected one of {', '.join(KNOWN)}")
    results: dict[str, dict[str, Any]] = {}
    for name in names:
        target = KNOWN[name]()
        for model in (GAUSSIAN, "iaf"):
            tqdm.write(f"{name}: {model}")
            flow = _start(model, target.num_features, fit.seed)
            fit_reverse_kl(flow, target, fit)
            reverse, forward = divergences(flow, target, num_draws, fit.seed + 1)
            results.setdefault(name, {})[model] = {
                "reverse_kl": dataclasses.asdict(reverse),
                "forward_kl": dataclasses.asdict(forward),
                "num_params": sum(p.numel() for p in flow.parameters()),
            }
    table = reverse_kl_markdown(results)
    print(table)
    described = {"fit": dataclasses.asdict(fit), "num_draws": num_draws, "commit": commit()}
    contents = json.dumps({**described, "densities": results}, indent=2)
    for suffix, text in (("json", contents), ("md", table)):
        write_file(report / f"reverse_kl.{suffix}", text + "\n")


def reverse_kl_markdown(results: dict[str, dict[str, Any]]) -> str:
    """Tabulate the divergences, with their standard errors, by density and model."""
    lines = ["| density | model q | KL(q ‖ p), nats | KL(p ‖ q), nats |", "|---|---|---:|---:|"]
    for density, models in results.items():
        for model, found in models.items():
            cells = [
                f"{found[key]['nats']:.4f} ± {found[key]['standard_error']:.4f}"
                for key in ("reverse_kl", "forward_kl")
            ]
            lines.append(f"| {density} | {model} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _start(model: str, num_features: int, seed: int) -> Flow:
    torch.manual_seed(seed)
    if model == GAUSSIAN:
        linear = [DiagonalScale(num_features, shift=True), LinearLU(num_features)]
        return Flow(StandardNormal(), Compose(linear))
    return Flow(StandardNormal(), build_family(family_config(model, num_features)))


if __name__ == "__main__":
    try:
        auto_cli(reverse_kl)
    except ValueError as error:
        sys.exit(f"reverse_kl: {error}")
