"""Tables of numbers: one row an example, one column a feature, every cell checked."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data.prepared.split import Split, check_shares
from data.toys import TOYS
from storage.arrays import ArrayError, archive_keys, load_archived, open_array

Array = npt.NDArray[np.float64]

TOY_PREFIX = "toy:"
NUM_TOY_ROWS = 10_000
MIN_ROWS = 30
"""Fewer rows would leave a split of a tenth with fewer than three."""


class TableError(ValueError):
    """A table that cannot be used; the message is one line and names the file."""


@dataclass(frozen=True)
class Table:
    """Finite numbers with named columns.

    Args:
        source: where it comes from, for messages.
        values: float64, shape (N, D).
        columns: D names; those of a table without header count from 0.
    """

    source: str
    values: Array
    columns: tuple[str, ...]

    @property
    def is_constant(self) -> npt.NDArray[np.bool_]:
        """Which columns hold one value only, shape (D,)."""
        return (self.values == self.values[0]).all(0)

    @property
    def is_integer(self) -> npt.NDArray[np.bool_]:
        """Which columns hold nothing but integers, shape (D,)."""
        return (self.values == np.floor(self.values)).all(0)


def read_table(source: str | Path, key: str | None = None, seed: int = 0) -> Table:
    """Read a table from a file, or draw a toy.

    Args:
        source: a `.npy` array, a `.npz` archive or a `.csv` file (comma-separated, UTF-8, a first
            line without any number is its header); or `toy:NAME`, a key of `TOYS`.
        key: which array of a `.npz` that holds several.
        seed: of a toy's rows.
    Returns:
        the table, at least `MIN_ROWS` rows and one column.
    Raises:
        TableError: if the file is missing, unreadable, not two-dimensional, too short, or has a
            cell that is not a finite number.
    """
    name = str(source)
    if name.startswith(TOY_PREFIX):
        return _draw_toy(name, seed)
    path = Path(source)
    if key is not None and path.suffix != ".npz":
        raise TableError(f"{path}: key is {key!r}, but only an .npz archive has keys")
    if path.suffix == ".csv":
        table = _read_csv(path)
    elif path.suffix in (".npy", ".npz"):
        table = _from_array(name, _load_array(path, key))
    else:
        raise TableError(f"{path}: expected a .npy, .npz or .csv file or {TOY_PREFIX}NAME")
    _check_shape(table)
    _check_finite(table)
    return table


def discrete_columns(table: Table, dequantize: bool) -> npt.NDArray[np.bool_]:
    """Find the columns that need noise before the table can have a density.

    A column of integers is discrete: a density fitted to it can put unbounded mass on the integers
    (Theis et al., 2016, arXiv:1511.01844). With noise from [0, 1) added to it, the mean
    log-density bounds the log-probability of the integers from below.

    Args:
        table: what is to be modelled.
        dequantize: whether integers get noise or are refused.
    Returns:
        the columns to add noise to, shape (D,).
    Raises:
        TableError: if there are integers and they are not to be dequantised, or a column is
            constant.
    """
    discrete = table.is_integer & (dequantize | ~table.is_constant)
    if discrete.any() and not dequantize:
        raise TableError(
            f"{table.source}: {_name_columns(table, discrete)} only integers: discrete data has no "
            "density; --dequantize adds uniform noise from [0, 1)"
        )
    constant = table.is_constant & ~discrete
    if constant.any():
        raise TableError(
            f"{table.source}: {_name_columns(table, constant)} one value only, which has no "
            "density: leave out such columns"
        )
    return discrete


def split_rows(
    num_rows: int, seed: int, val_percent: float = 10, test_percent: float = 10
) -> dict[Split, npt.NDArray[np.int64]]:
    """Divide rows at random.

    Args:
        num_rows: N, at least 3.
        seed: of the shuffling.
        val_percent: share of rows that go to validation, at least one row.
        test_percent: share of rows that go to the test, at least one row.
    Returns:
        row numbers of each split, every row in one of them.
    Raises:
        ValueError: if a share is not positive or nothing is left to train on.
    """
    check_shares(val_percent, test_percent)
    order = np.random.default_rng(seed).permutation(num_rows)
    num_test = max(1, round(num_rows * test_percent / 100))
    num_val = max(1, round(num_rows * val_percent / 100))
    if num_test + num_val >= num_rows:
        raise ValueError(
            f"val_percent={val_percent} and test_percent={test_percent} leave none of {num_rows} "
            "rows to train on"
        )
    test, val, train = np.split(order, [num_test, num_test + num_val])
    return {"train": train, "val": val, "test": test}


def _draw_toy(name: str, seed: int) -> Table:
    toy = name.removeprefix(TOY_PREFIX)
    if toy not in TOYS:
        raise TableError(f"toy is {toy!r}, expected one of {', '.join(TOYS)}")
    return Table(name, TOYS[toy](NUM_TOY_ROWS, np.random.default_rng(seed)), ("x", "y"))


def _load_array(path: Path, key: str | None) -> npt.NDArray:
    try:
        if path.suffix == ".npy":
            return open_array(path)
        return load_archived(path, _choose_key(path, archive_keys(path), key))
    except ArrayError as error:
        raise TableError(str(error)) from error


def _choose_key(path: Path, keys: list[str], key: str | None) -> str:
    listed = ", ".join(map(repr, keys)) or "nothing"
    if key is None and len(keys) == 1:
        return keys[0]
    if key is None:
        raise TableError(f"{path}: holds {listed}; name one array with --key")
    if key not in keys:
        raise TableError(f"{path}: key is {key!r}, but it holds {listed}")
    return key


def _from_array(name: str, array: npt.NDArray) -> Table:
    if array.dtype.kind not in "biuf":
        raise TableError(f"{name}: dtype is {array.dtype}, expected real numbers")
    if array.ndim != 2:
        raise TableError(f"{name}: has shape {array.shape}, expected (rows, columns)")
    return Table(name, array.astype(np.float64), tuple(map(str, range(array.shape[1]))))


def _read_csv(path: Path) -> Table:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, cells) for cells in reader if cells]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise TableError(f"{path}: cannot be read: {reason}") from error
    if not lines:
        raise TableError(f"{path}: is empty")
    first = lines[0][1]
    has_header = not any(_is_number(cell) for cell in first)
    columns = tuple(first) if has_header else tuple(map(str, range(len(first))))
    rows = lines[1:] if has_header else lines
    values = np.empty((len(rows), len(columns)))
    for i, (line, cells) in enumerate(rows):
        if len(cells) != len(columns):
            raise TableError(f"{path}: line {line} has {len(cells)} cells, expected {len(columns)}")
        try:
            values[i] = cells
            is_good = bool(np.isfinite(values[i]).all())
        except ValueError:
            is_good = False
        if not is_good:
            bad = next(j for j, c in enumerate(cells) if not (_is_number(c) and isfinite(float(c))))
            raise TableError(
                f"{path}: line {line}, column {columns[bad]} is {cells[bad]!r}, expected a finite "
                "number"
            )
    return Table(str(path), values, columns)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _check_shape(table: Table) -> None:
    num_rows, num_columns = table.values.shape
    if num_columns == 0:
        raise TableError(f"{table.source}: has no columns")
    if num_rows < MIN_ROWS:
        raise TableError(f"{table.source}: has {num_rows} rows, expected at least {MIN_ROWS}")


def _check_finite(table: Table) -> None:
    wrong = np.argwhere(~np.isfinite(table.values))
    if len(wrong):
        row, column = wrong[0]
        raise TableError(
            f"{table.source}: row {row}, column {table.columns[column]} is "
            f"{table.values[row, column]}, expected a finite number"
            + (f" ({len(wrong)} such cells)" if len(wrong) > 1 else "")
        )


def _name_columns(table: Table, chosen: npt.NDArray[np.bool_]) -> str:
    """Name the chosen columns, the first few if they are many, as the subject of "holds"."""
    names = [name for name, is_chosen in zip(table.columns, chosen, strict=True) if is_chosen]
    shown = ", ".join(names[:5])
    if len(names) == 1:
        return f"column {shown} holds"
    return f"{len(names)} columns ({shown}{', ...' if len(names) > 5 else ''}) hold"
