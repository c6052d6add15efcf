"""The fit of one density: from rows to a model folder and a result."""

import dataclasses
import json
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from data import Table
from flows.families import FamilyConfig
from pipelines.density.baselines import gaussian_log_prob, num_gaussian_params
from pipelines.density.fit import (
    Epoch,
    FitConfig,
    Likelihood,
    best_epoch,
    fit,
    log_prob,
    start_model,
)
from pipelines.density.folder import METRICS_FILE, PICTURE_FILE, RESULT_FILE
from pipelines.density.plots import picture_2d
from pipelines.density.rows import Rows
from pipelines.workspace import commit
from storage.atomic import write_file


def estimate(
    table: Table,
    rows: Rows,
    family: FamilyConfig,
    config: FitConfig,
    folder: Path,
    device: torch.device | str = "cpu",
    origin: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Fit a flow, score it and a Gaussian on the test rows, and write the model folder.

    Args:
        table: the table of the rows.
        rows: the table's rows, split.
        family: family and size of the flow.
        config: settings of the fit.
        folder: gets `config.json`, `model.safetensors`, `result.json`, `metrics.jsonl` and, for two
            columns, `density.png`.
        device: device of the computation.
        origin: further values to store about the table, see `table_origin`.
    Returns:
        the JSON values of `result.json`: `table`; `models`, each with `test_nats`,
        `standard_error` and `num_params`; and the course of the fit.
    """
    started = time.process_time()
    model = start_model(family, rows, config.seed).to(device)
    epochs = fit(model, rows, config)
    cpu_seconds = time.process_time() - started
    model.eval().requires_grad_(False)
    num_columns = len(table.columns)
    gaussian = Likelihood.of(gaussian_log_prob(rows, rows.test))
    fitted = Likelihood.of(log_prob(model, rows.test))
    num_params = sum(p.numel() for p in model.parameters())
    result = {
        "table": _describe(table, rows) | dict(origin or {}),
        "models": {
            "full Gaussian": _entry(gaussian, num_gaussian_params(num_columns)),
            family.family: _entry(fitted, num_params),
        },
        "fit": dataclasses.asdict(config),
        "epochs": len(epochs),
        "best_epoch": best_epoch(epochs) + 1,
        "seconds": epochs[-1].seconds,
        "cpu_seconds": cpu_seconds,
    }
    versions = {name: metadata.version(name) for name in ("torch", "numpy")}
    model.save_pretrained(folder, result | {"versions": versions, "commit": commit()})
    write_file(folder / METRICS_FILE, "".join(_line(i, epoch) for i, epoch in enumerate(epochs, 1)))
    if num_columns == 2:
        picture_2d(model, rows.test, folder / PICTURE_FILE, config.seed)
    write_file(folder / RESULT_FILE, json.dumps(result, indent=2) + "\n")
    return result


def likelihood_table(result: dict[str, Any]) -> str:
    """Format a result of `estimate` as Markdown."""
    table, counts = result["table"], result["table"]["rows"]
    lines = [
        f"{table['source']}: {len(table['columns'])} columns; {counts['train']} rows to train, "
        f"{counts['val']} to validate, {counts['test']} to test",
        "",
        "| model | test nats per row | standard error | parameters |",
        "|---|---:|---:|---:|",
    ]
    for name, model in result["models"].items():
        lines.append(
            f"| {name} | {model['test_nats']:.3f} | {model['standard_error']:.3f} "
            f"| {model['num_params']:,} |"
        )
    if table["dequantised"]:
        lines += [
            "",
            f"{len(table['dequantised'])} columns of integers carry uniform noise from [0, 1): the "
            "nats are the dequantised density's, a lower bound of the integers' log-probability.",
        ]
    return "\n".join(lines)


def _describe(table: Table, rows: Rows) -> dict[str, Any]:
    noisy = [
        name for name, is_noisy in zip(table.columns, rows.is_discrete, strict=True) if is_noisy
    ]
    return {
        "source": table.source,
        "columns": list(table.columns),
        "dequantised": noisy,
        "rows": {"train": len(rows.train), "val": len(rows.val), "test": len(rows.test)},
    }


def _entry(likelihood: Likelihood, num_params: int) -> dict[str, Any]:
    return {
        "test_nats": likelihood.nats,
        "standard_error": likelihood.standard_error,
        "num_params": num_params,
    }


def _line(number: int, epoch: Epoch) -> str:
    return json.dumps({"epoch": number, **dataclasses.asdict(epoch)}) + "\n"
