"""The commands `interpolate` and `interpolate-rows`: paths between two latents."""

import csv
import io
from pathlib import Path
from typing import Any, Literal

import torch

from data import HAS_HEADER, Table, read_table
from flows.model_folder import CONFIG_FILE, WEIGHTS_FILE, ArtefactError
from pipelines.density.model import DensityModel
from pipelines.generation import interpolation
from pipelines.workspace import pick_device
from storage.atomic import write_file
from storage.overwriting import refuse_overwriting

CELL_CENTRE = 0.5
"""Offset at which an integer k is encoded in its cell [k, k + 1)."""


def interpolate(
    model: Path,
    first: Path,
    second: Path,
    out: Path,
    num_steps: int = 5,
    path: Literal["linear", "spherical"] = "spherical",
    max_seconds: float | None = None,
    device: str = "auto",
    speaker: str | None = None,
) -> None:
    """Interpolate between two recordings in the latent space of a model.

    Args:
        model: folder of a teacher, or of a student, which can seldom encode a recording.
        first: recording at the start of the path.
        second: recording at the end; the longer recording is cut to the shorter one's length.
        out: folder that gets one WAV file for each point.
        num_steps: number of points, both ends included.
        path: "linear" or "spherical".
        max_seconds: largest length of the recordings that is used.
        device: "auto", "cpu" or "cuda".
        speaker: the speaker, for a model that knows speakers.
    """
    written = interpolation.interpolate(
        model,
        first,
        second,
        out,
        num_steps=num_steps,
        path=path,
        max_seconds=max_seconds,
        device=device,
        speaker=speaker,
    )
    for file in written:
        print(file)


def interpolate_rows(
    model: Path,
    table: str,
    first: int,
    second: int,
    out: Path,
    num_steps: int = 9,
    path: Literal["linear", "spherical"] = "spherical",
    key: str | None = None,
    header: Literal["auto", "present", "absent"] = "auto",
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Encode two rows of a table, interpolate between their latents, and decode every point.

    Columns that the fit dequantised are rounded down to integers again.

    Args:
        model: folder of a density.
        table: a table as for the command density, with the model's columns.
        first: number of the row at the start of the path, from 0.
        second: number of the row at the end of the path.
        out: CSV file to write, with a line for each point.
        num_steps: number of points, both ends included.
        path: "linear" or "spherical" in the latent space.
        key: name of the array in an .npz that holds several.
        header: whether a .csv file's first line holds names; "auto": if no cell of it is a number.
        seed: seed of a toy's rows.
        device: "cpu", "cuda" or "auto".
    Raises:
        ValueError: if the model or the table cannot be used, or if there is no such row.
    """
    refuse_overwriting([Path(table), model / CONFIG_FILE, model / WEIGHTS_FILE], [out])
    density = DensityModel.from_pretrained(model, pick_device(device))
    contents = read_table(table, key, seed, HAS_HEADER[header])
    num_rows, num_columns = contents.values.shape
    if num_columns != density.config.num_features:
        raise ValueError(
            f"{table}: has {num_columns} columns, but {model} was fitted to "
            f"{density.config.num_features}"
        )
    for row in (first, second):
        if not 0 <= row < num_rows:
            raise ValueError(f"{table}: row {row}, expected 0 to {num_rows - 1}")
    is_discrete = torch.tensor(_dequantised_columns(density.metadata, contents, model))
    ends = torch.from_numpy(contents.values[[first, second]]) + CELL_CENTRE * is_discrete
    with torch.no_grad():
        start, end = ends.to(density.mean.device).split(1)
        points = density.interpolate(start, end, num_steps, path)[:, 0].cpu()
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(contents.columns)
    discrete = is_discrete.tolist()
    for point in points.tolist():
        cells = zip(point, discrete, strict=True)
        writer.writerow(int(value // 1) if is_integer else value for value, is_integer in cells)
    write_file(out, text.getvalue())
    print(f"{num_steps} points from row {first} to row {second}: {out}")


def _dequantised_columns(metadata: dict[str, Any], table: Table, folder: Path) -> list[bool]:
    """Return whether each column of a table is one that the fit dequantised.

    Raises:
        ValueError: if the table's columns have other names than the model's.
    """
    described = {}
    for name in ("columns", "dequantised"):
        try:
            described[name] = metadata["table"][name]
        except (KeyError, TypeError) as error:
            raise ArtefactError(
                f"{folder / CONFIG_FILE}: metadata.table.{name} is missing"
            ) from error
        if not isinstance(described[name], list):
            raise ArtefactError(
                f"{folder / CONFIG_FILE}: metadata.table.{name} is {described[name]!r}, expected a "
                "list"
            )
    columns = tuple(described["columns"])
    unnamed = tuple(map(str, range(len(table.columns))))  # an array, or a .csv without a header
    if table.columns != columns and unnamed not in (table.columns, columns):
        raise ValueError(
            f"{table.source}: has the columns {', '.join(table.columns)}, but {folder} was fitted "
            f"to {', '.join(map(str, columns))}"
        )
    return [name in described["dequantised"] for name in columns]
