"""CSV files of numbers, with every cell checked."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from math import isfinite
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

MIN_ROWS = 30
"""Smallest number of rows. With fewer, a split of a tenth would have fewer than three rows."""

_LARGEST_INTEGER = 2**53
_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)


class TableError(ValueError):
    """A table that cannot be used; the message is one line and names the file."""


def read_csv(path: Path, header: bool | None) -> tuple[Array, tuple[str, ...]]:
    """Read a file of comma-separated numbers.

    Args:
        path: file in UTF-8.
        header: whether the first line names the columns. With None, the first line names the
            columns if no cell of it is a number.
    Returns:
        finite float64 numbers, shape (N, D), and D names. Without a header, the columns are named
        by their numbers, from 0.
    Raises:
        TableError: if the file cannot be read as a table; for a cell that is not a number, the
            message names the line and the column.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, cells) for cells in reader if cells]
    except UnicodeDecodeError as error:
        raise TableError(f"{path}: cannot be read: it is not UTF-8 ({error.reason})") from error
    except (OSError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise TableError(f"{path}: cannot be read: {reason}") from error
    if not lines:
        raise TableError(f"{path}: is empty")
    if header is None:
        header = _has_header(path, [cells for _, cells in lines])
    first = lines[0][1]
    # NumPy's savetxt writes the header as a comment.
    names = [first[0].removeprefix("# "), *first[1:]]
    columns = tuple(name.strip() or str(i) for i, name in enumerate(names) if header)
    repeated = next((name for name in columns if columns.count(name) > 1), None)
    if repeated is not None:
        raise TableError(f"{path}: two columns are named {repeated}, expected different names")
    columns = columns or tuple(map(str, range(len(first))))
    values = _parse_rows(path, columns, lines[1:] if header else lines)
    _check_no_index(path, values, first[0] if header else None)
    return values, columns


def _has_header(path: Path, rows: list[list[str]]) -> bool:
    """Tell whether the first line names the columns.

    Names may be numbers, too: years, or a count of the columns.

    Raises:
        TableError: if the first line may be a header of numbers: it counts the columns from 0, or
            it alone holds only integers.
    """
    first = rows[0]
    if not any(_is_number(cell) for cell in first):
        return True
    is_integer_line = [all(map(_INTEGER.fullmatch, cells)) for cells in rows]
    counts = len(first) > 1 and first == [str(i) for i in range(len(first))]
    alone = len(rows) > 1 and not any(is_integer_line[1:]) and len(set(first)) == len(first)
    if is_integer_line[0] and (counts or alone):
        shown = ",".join(first)
        raise TableError(
            f"{path}: line 1 is {shown[:40]}{'...' * (len(shown) > 40)}, which may be names or "
            "numbers: say --header present or absent"
        )
    return False


def _parse_rows(path: Path, columns: tuple[str, ...], rows: list[tuple[int, list[str]]]) -> Array:
    """Turn cells into numbers, shape (N, D)."""
    values = np.empty((len(rows), len(columns)))
    for i, (line, cells) in enumerate(rows):
        if len(cells) != len(columns):
            raise TableError(
                f"{path}: line {line} has {len(cells)} cells, expected {len(columns)}"
                f"{_separator_hint(columns)}"
            )
        try:
            values[i] = cells
            is_good = bool(np.isfinite(values[i]).all()) and all(map(_is_plain, cells))
        except ValueError:
            is_good = False
        if not is_good:
            bad = next(j for j, c in enumerate(cells) if not (_is_number(c) and isfinite(float(c))))
            raise TableError(
                f"{path}: line {line}, column {columns[bad]} is {cells[bad][:60]!r}, expected a "
                f"finite number{_separator_hint(cells)}"
            )
        if (np.abs(values[i]) >= _LARGEST_INTEGER).any():
            for cell in filter(_INTEGER.fullmatch, cells):
                check_size(f"{path}: line {line}", int(cell.strip().lstrip("+-0") or "0"))
    return values


def _separator_hint(cells: Sequence[str]) -> str:
    return ": cells are separated by commas" if {";", "\t"} & set("".join(cells)) else ""


def _check_no_index(path: Path, values: Array, name: str | None) -> None:
    """Refuse a first column that numbers the rows, as pandas writes its index."""
    num_rows, num_columns = values.shape
    if num_columns < 2 or num_rows < MIN_ROWS or name not in (None, "", "Unnamed: 0", "index"):
        return
    first = values[:, 0]
    counts = (first - first[0] == np.arange(num_rows)).all() and first[0] in (0, 1)
    # Shuffled or chosen rows keep the numbers of their index, and the column has no other name.
    numbers = (first == np.floor(first)).all() and len(np.unique(first)) == num_rows
    if counts or (numbers and name in ("", "Unnamed: 0")):
        raise TableError(
            f"{path}: the first column numbers the rows, as pandas writes its index: leave it out "
            "(to_csv(index=False)), or give it a name if it is to be modelled"
        )


def _is_plain(cell: str) -> bool:
    # float() also reads 1_000 and the digits of other scripts.
    return "_" not in cell and cell.isascii()


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return _is_plain(cell)


def check_size(place: str, integer: int) -> None:
    """Refuse an integer beyond 2^53, which a float64 may round.

    Raises:
        TableError: names the place and the integer.
    """
    if abs(integer) > _LARGEST_INTEGER:
        raise TableError(
            f"{place}: holds the integer {integer}, expected at most 2^53: beyond, float64 has no "
            "room for its last digits"
        )
