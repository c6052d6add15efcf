"""Tables of numbers: each row is an example, each column a feature, and every cell is checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data.csv_tables import MIN_ROWS, TableError, check_size, read_csv
from data.prepared.split import Split, check_shares
from data.toys import TOYS
from storage.arrays import ArrayError, archive_keys, load_archived, open_array

Array = npt.NDArray[np.float64]

TOY_PREFIX = "toy:"
NUM_TOY_ROWS = 10_000
HAS_HEADER = {"auto": None, "present": True, "absent": False}
"""The commands' names for the values of `header` of `read_table`."""


_MOST_IN_ONE_PLACE = 0.02
_FEWEST_REPEATS = 5
# Floats at least this large lie 1 or more apart, so they are integers whatever they measure.
_EXACT_BELOW = {"f2": 2.0**10, "f4": 2.0**23}


@dataclass(frozen=True)
class Table:
    """Finite numbers with named columns.

    Args:
        source: name of the file or toy, for messages.
        values: float64, shape (N, D).
        columns: D names. Without a header, the columns are named by their numbers, from 0.
        exact_below: magnitude from which floats of the file's type cannot hold a fraction.
    """

    source: str
    values: Array
    columns: tuple[str, ...]
    exact_below: float = 2.0**52

    @property
    def is_constant(self) -> npt.NDArray[np.bool_]:
        """Whether each column holds a single value, shape (D,)."""
        return (self.values == self.values[0]).all(0)

    @property
    def is_integer(self) -> npt.NDArray[np.bool_]:
        """Whether each column holds only integers, small enough to tell, shape (D,)."""
        is_exact = np.median(np.abs(self.values), axis=0) < self.exact_below
        return (self.values == np.floor(self.values)).all(0) & is_exact


def read_table(
    source: str | Path, key: str | None = None, seed: int = 0, header: bool | None = None
) -> Table:
    """Read a table from a file, or draw the rows of a toy.

    Args:
        source: a `.npy` array, a `.npz` archive or a `.csv` file (comma-separated, UTF-8); or
            `toy:NAME`, a key of `TOYS`.
        key: name of the array in an `.npz` archive that holds several arrays.
        seed: seed of a toy's rows.
        header: whether the first line of a `.csv` file names its columns. With None, the first line
            names the columns if no cell of it is a number.
    Returns:
        a table of at least `MIN_ROWS` rows and one column.
    Raises:
        TableError: if the file is missing, unreadable, not two-dimensional or too short; if a cell
            is not a finite number; if the first column counts the rows; if the first line is of
            numbers and may be a header; or if the seed is negative.
    """
    name = str(source)
    if seed < 0:
        raise TableError(f"seed is {seed}, expected >= 0")
    if name.startswith(TOY_PREFIX):
        return _draw_toy(name, seed)
    path = Path(source)
    suffix = path.suffix.lower()
    if header is not None and suffix != ".csv":
        raise TableError(f"{path}: header is given, but only a .csv file has a first line")
    if key is not None and suffix != ".npz":
        raise TableError(f"{path}: key is {key!r}, but only an .npz archive has keys")
    if suffix == ".csv":
        table = Table(name, *read_csv(path, header))
    elif suffix in (".npy", ".npz"):
        table = _from_array(name, _load_array(path, key))
    else:
        raise TableError(f"{path}: expected a .npy, .npz or .csv file or {TOY_PREFIX}NAME")
    _check_shape(table)
    _check_finite(table)
    return table


def discrete_columns(table: Table, dequantize: bool) -> npt.NDArray[np.bool_]:
    """Find the columns that need noise before the table can have a density.

    A column of integers is discrete: the density of a model that is fitted to integers can grow
    without bound at the integers (Theis et al., 2016, arXiv:1511.01844). With noise from [0, 1)
    added to the integers, the mean log-density is a lower bound of the integers' log-probability.

    Args:
        table: the table to be modelled.
        dequantize: whether integers get noise; otherwise they are refused.
    Returns:
        whether each column gets noise, shape (D,).
    Raises:
        TableError: if a column holds only integers and `dequantize` is False, or if a column is
            constant and gets no noise.
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


def repeated_values(table: Table, discrete: npt.NDArray[np.bool_]) -> list[str]:
    """Find columns in which one value stands in many rows, and columns that are equal.

    The density that a model fits to such columns has a spike at the repeated value, or on the line
    of equal values. The spike is as high as the model can build it, and so the likelihood says
    nothing about the rest of the table.

    Args:
        table: the table to be modelled.
        discrete: whether each column gets noise, shape (D,); such columns are not examined.
    Returns:
        one sentence for each column that was found.
    """
    found = []
    num_rows = len(table.values)
    first_of: dict[bytes, int] = {}
    for column in np.flatnonzero(~discrete).tolist():
        same = first_of.setdefault(table.values[:, column].tobytes(), column)
        if same != column:
            found.append(f"columns {table.columns[same]} and {table.columns[column]} are equal")
            continue
        values, counts = np.unique(table.values[:, column], return_counts=True)
        name = table.columns[column]
        most = int(counts.max())
        if most >= max(_FEWEST_REPEATS, _MOST_IN_ONE_PLACE * num_rows):
            found.append(
                f"column {name}: {100 * most / num_rows:.0f} % of the rows are exactly "
                f"{values[counts.argmax()]:g}"
            )
        elif 2 * len(values) < num_rows:
            found.append(f"column {name}: {num_rows} rows hold {len(values)} different values only")
    return found


def split_rows(
    num_rows: int, seed: int, val_percent: float = 10, test_percent: float = 10
) -> dict[Split, npt.NDArray[np.int64]]:
    """Assign rows to the three splits at random.

    Args:
        num_rows: N, at least 3.
        seed: seed of the shuffling.
        val_percent: share of the rows for validation, at least one row.
        test_percent: share of the rows for the test, at least two rows.
    Returns:
        the row numbers of each split; every row is in one split.
    Raises:
        ValueError: if a share is not positive, if the test would have a single row (and so no
            standard error), or if no row is left to train on.
    """
    check_shares(val_percent, test_percent)
    order = np.random.default_rng(seed).permutation(num_rows)
    num_test = max(1, round(num_rows * test_percent / 100))
    num_val = max(1, round(num_rows * val_percent / 100))
    if num_test < 2:
        raise ValueError(
            f"test_percent={test_percent} leaves 1 of {num_rows} rows to test, expected at least 2"
        )
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
        if path.suffix.lower() == ".npy":
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
    if array.dtype.kind in "iu" and array.size:
        check_size(name, max(abs(int(array.min())), abs(int(array.max()))))
    exact_below = _EXACT_BELOW.get(array.dtype.str[1:], Table.exact_below)
    columns = tuple(map(str, range(array.shape[1])))
    return Table(name, array.astype(np.float64), columns, exact_below)


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
    """Name the first few of the chosen columns, as the subject of the verb "hold"."""
    names = [name for name, is_chosen in zip(table.columns, chosen, strict=True) if is_chosen]
    shown = ", ".join(names[:5])
    if len(names) == 1:
        return f"column {shown} holds"
    return f"{len(names)} columns ({shown}{', ...' if len(names) > 5 else ''}) hold"
