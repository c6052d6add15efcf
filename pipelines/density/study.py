"""The families compared with two baselines on real tables: `python -m pipelines.density.study`."""

import dataclasses
import json
import math
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonargparse import auto_cli
from tqdm import tqdm

from data import read_table
from flows.families import FamilyConfig, family_config
from flows.pretrained import read_description
from pipelines.density.baselines import gaussian_log_prob, num_gaussian_params
from pipelines.density.estimate import estimate
from pipelines.density.fit import FitConfig, Likelihood
from pipelines.density.folder import RESULT_FILE
from pipelines.density.mixture import MixtureConfig, fit_mixture_of_gaussians
from pipelines.density.rows import Rows
from pipelines.density.study_tables import study_table
from pipelines.workspace import commit
from storage.atomic import write_file

GAUSSIAN, MIXTURE = "full Gaussian", "mixture of 20 Gaussians"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The settings of one table's study.

    Args:
        mixture: settings of the second baseline.
        sizes: arguments of `family_config`, by family, that differ from its defaults.
        fits: fields of `FitConfig`, by family.
    """

    mixture: MixtureConfig
    sizes: Mapping[str, Mapping[str, Any]]
    fits: Mapping[str, Mapping[str, Any]]


DECAYING = {"learning_rate": 3e-3, "weight_decay": 1.0}
"""Settings for networks with more parameters than the digits have pixels."""

SHORT = {"learning_rate": 1e-3, "batch_size": 128, "ema_decay": 0.998}
"""Settings of a fit of one to four core-minutes, which ends before the likelihood stops rising."""

PLANS = {
    "digits": Plan(
        mixture=MixtureConfig(ridges=(1e-3, 1e-2, 3e-2, 1e-1, 3e-1), num_draws=10),
        sizes={"maf": {"hidden": (256, 256)}, "gaussianization": {"num_layers": 4}},
        fits={
            "nice": DECAYING,
            "realnvp": DECAYING,
            "maf": DECAYING,
            "maf_mixture": DECAYING,
            "gaussianization": {"learning_rate": 1e-2, "batch_size": 128, "max_epochs": 100},
        },
    ),
    "fashion": Plan(
        mixture=MixtureConfig(ridges=(1e-6,), max_iterations=20),
        sizes={"maf_mixture": {"num_layers": 2}, "gaussianization": {"num_layers": 4}},
        fits={
            "nice": SHORT | {"max_epochs": 6},
            "realnvp": SHORT | {"max_epochs": 30},
            "maf": SHORT | {"max_epochs": 30},
            "maf_mixture": SHORT | {"max_epochs": 3},
            "gaussianization": SHORT | {"learning_rate": 5e-4, "batch_size": 256, "max_epochs": 4},
        },
    ),
}


def study(
    table: str,
    families: list[str] | None = None,
    seeds: list[int] | None = None,
    out: Path = Path("exp/density/study"),
    report: Path = Path("docs/results/density"),
    corpora: Path = Path("corpora"),
) -> None:
    """Fit the families and two baselines to a table with several seeds, and tabulate.

    A seed also decides the split into training, validation and test rows, and all models of a seed
    share the split. Fits that exist are not repeated.

    Args:
        table: "digits" or "fashion".
        families: default: all families of the table's plan.
        seeds: default: 0, 1, 2.
        out: folder of the fitted models.
        report: gets TABLE.json and TABLE.md.
        corpora: folder of the table's file.
    Raises:
        ValueError: if the table or a family is not in the plans.
    """
    if table not in PLANS:
        raise ValueError(f"table is {table!r}, expected one of {', '.join(PLANS)}")
    plan = PLANS[table]
    names = list(plan.fits) if families is None else families
    for name in names:
        if name not in plan.fits:
            raise ValueError(f"family is {name!r}, expected one of {', '.join(plan.fits)}")
    contents = read_table(study_table(table, corpora))
    results: dict[str, list[dict[str, Any]]] = {}
    for seed in [0, 1, 2] if seeds is None else seeds:
        rows = Rows.from_table(contents, dequantize=True, seed=seed)
        for name, found in _baselines(rows, plan, out / table / f"baselines-{seed}.json", seed):
            results.setdefault(name, []).append(found)
        for name in names:
            sizes = family_config(name, len(contents.columns), **plan.sizes.get(name, {}))
            config = FitConfig(seed=seed, **plan.fits[name])
            folder = out / table / f"{name}-{seed}"
            if not _is_done(folder, sizes, config):
                tqdm.write(f"{table}: {name}, seed {seed}")
                estimate(contents, rows, sizes, config, folder)
            fitted = json.loads((folder / RESULT_FILE).read_text())
            kept = {key: fitted[key] for key in ("epochs", "best_epoch", "cpu_seconds")}
            results.setdefault(name, []).append({"seed": seed, **fitted["models"][name], **kept})
        write_file(report / f"{table}.json", json.dumps(results, indent=1) + "\n")
        write_file(report / f"{table}.md", study_markdown(results) + "\n")
    print(study_markdown(results))


def study_markdown(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Tabulate results by model: means over seeds ± their standard errors.

    Args:
        results: entries by model, baselines included. Every model has one entry for each seed, in
            an equal order of seeds: `test_nats`, `num_params` and `cpu_seconds`.
    """
    lines = [
        f"| model | parameters | test nats | above {GAUSSIAN} | above {MIXTURE} | CPU seconds |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, entries in results.items():
        nats = [entry["test_nats"] for entry in entries]
        above = [
            "" if name == baseline else _mean_and_error(_differences(nats, results[baseline]))
            for baseline in (GAUSSIAN, MIXTURE)
        ]
        seconds = statistics.mean(entry["cpu_seconds"] for entry in entries)
        lines.append(
            f"| {name} | {entries[0]['num_params']:,} | {_mean_and_error(nats)} | {above[0]} "
            f"| {above[1]} | {seconds:.0f} |"
        )
    return "\n".join(lines)


def _differences(nats: Sequence[float], baseline: Sequence[Mapping[str, Any]]) -> list[float]:
    return [ours - theirs["test_nats"] for ours, theirs in zip(nats, baseline, strict=True)]


def _mean_and_error(values: Sequence[float]) -> str:
    mean = statistics.mean(values)
    if len(values) < 2:
        return f"{mean:.2f}"
    return f"{mean:.2f} ± {statistics.stdev(values) / math.sqrt(len(values)):.2f}"


def _baselines(rows: Rows, plan: Plan, path: Path, seed: int) -> list[tuple[str, dict[str, Any]]]:
    """Fit both baselines, or read their stored fit if its configuration is equal."""
    config = dataclasses.replace(plan.mixture, seed=seed)
    described = json.loads(json.dumps(dataclasses.asdict(config)))
    if path.exists():
        stored = json.loads(path.read_text())
        if stored["mixture"] == described:
            return list(stored["models"].items())
    tqdm.write(f"{path.stem}: fitting")
    started = time.process_time()
    gaussian = Likelihood.of(gaussian_log_prob(rows, rows.test))
    between = time.process_time()
    mixture = fit_mixture_of_gaussians(rows, config)
    finished = time.process_time()
    models = {
        GAUSSIAN: {
            "seed": seed,
            "test_nats": gaussian.nats,
            "standard_error": gaussian.standard_error,
            "num_params": num_gaussian_params(rows.train.shape[1]),
            "cpu_seconds": between - started,
        },
        MIXTURE: {
            "seed": seed,
            "test_nats": mixture.likelihood.nats,
            "standard_error": mixture.likelihood.standard_error,
            "num_params": mixture.num_params,
            "cpu_seconds": finished - between,
            "ridge": mixture.ridge,
        },
    }
    stored = {"mixture": described, "commit": commit(), "models": models}
    write_file(path, json.dumps(stored, indent=2) + "\n")
    return list(models.items())


def _is_done(folder: Path, sizes: FamilyConfig, config: FitConfig) -> bool:
    """Whether the folder holds a finished fit with exactly this configuration."""
    if not (folder / RESULT_FILE).exists():
        return False
    stored = json.loads((folder / RESULT_FILE).read_text())["fit"]
    described = read_description(folder)["config"]
    return stored == dataclasses.asdict(config) and described == json.loads(
        json.dumps(dataclasses.asdict(sizes))
    )


if __name__ == "__main__":
    try:
        auto_cli(study)
    except ValueError as error:
        sys.exit(f"study: {error}")
