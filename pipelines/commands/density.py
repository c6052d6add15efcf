"""The command `density`: fits a flow to the numbers of a table."""

import sys
from pathlib import Path
from typing import Literal

from data import HAS_HEADER, discrete_columns, read_table, repeated_values
from flows.families import family_config
from pipelines.density.estimate import estimate, likelihood_table
from pipelines.density.fit import FitConfig
from pipelines.density.folder import check_folder, default_folder, table_origin
from pipelines.density.rows import Rows
from pipelines.workspace import pick_device
from storage.folder_lock import folder_lock

MAX_IAF_COLUMNS = 32


def density(
    table: str,
    family: str = "maf",
    out: Path | None = None,
    key: str | None = None,
    header: Literal["auto", "present", "absent"] = "auto",
    dequantize: bool = False,
    num_layers: int | None = None,
    hidden: tuple[int, ...] | None = None,
    num_components: int | None = None,
    max_epochs: int = FitConfig.max_epochs,
    patience: int = FitConfig.patience,
    batch_size: int = FitConfig.batch_size,
    learning_rate: float = FitConfig.learning_rate,
    weight_decay: float = FitConfig.weight_decay,
    gradient_clip: float = FitConfig.gradient_clip,
    ema_decay: float = FitConfig.ema_decay,
    val_percent: float = 10,
    test_percent: float = 10,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Fit a flow to a table of numbers; print its held-out log-likelihood and save it.

    Args:
        table: .npy, .npz or .csv file with one example in each row; or toy:moons, toy:rings,
            toy:checkerboard, toy:spirals.
        family: nice, realnvp, maf, maf_mixture, iaf or gaussianization.
        out: folder for the model, result.json, metrics.jsonl and, for two columns, density.png;
            default: exp/density/TABLE-FAMILY. Only a model of this table is overwritten.
        key: name of the array in an .npz that holds several.
        header: whether a .csv file's first line holds names; "auto": if no cell of it is a number.
        dequantize: add uniform noise from [0, 1) to columns of integers.
        num_layers: number of layers of the flow; default: the family's.
        hidden: widths of the hidden layers, as [128,128]; default: the family's.
        num_components: logistics per mixture; default: the family's.
        max_epochs: largest number of passes over the training rows.
        patience: epochs without a better validation after which the fit ends.
        batch_size: number of rows in a step.
        learning_rate: Adam's learning rate.
        weight_decay: weight decay per unit of learning rate, decoupled from the gradient.
        gradient_clip: largest gradient norm.
        ema_decay: decay of the averaged weights, which are validated and kept.
        val_percent: share of rows that decide when the fit ends.
        test_percent: share of rows held out for the result.
        seed: seed of the split, the weights, the batches and the noise.
        device: "cpu", "cuda" or "auto"; networks this small seldom gain from a GPU.
    """
    config = FitConfig(
        max_epochs=max_epochs,
        patience=patience,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        gradient_clip=gradient_clip,
        ema_decay=ema_decay,
        seed=seed,
    )
    place = pick_device(device)
    data = read_table(table, key, seed, HAS_HEADER[header])
    num_columns = len(data.columns)
    sizes = family_config(
        family,
        num_columns,
        num_layers=num_layers,
        hidden=hidden,
        num_components=num_components,
    )
    if family == "iaf" and num_columns > MAX_IAF_COLUMNS:
        raise ValueError(
            f"{table}: has {num_columns} columns, but the likelihood of an iaf takes one network "
            f"pass for each: expected at most {MAX_IAF_COLUMNS}, or --family maf"
        )
    rows = Rows.from_table(
        data, dequantize=dequantize, seed=seed, val_percent=val_percent, test_percent=test_percent
    )
    for sentence in repeated_values(data, discrete_columns(data, dequantize)):
        print(
            f"warning: {table}: {sentence}; a flow gains nats by a spike there: compare with care",
            file=sys.stderr,
        )
    folder = out or default_folder(table, key, family)
    with folder_lock(folder):
        check_folder(folder, table, key)
        origin = table_origin(table, key)
        print(likelihood_table(estimate(data, rows, sizes, config, folder, place, origin)))
    print(f"model: {folder}")
