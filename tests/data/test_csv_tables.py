"""CSV files: telling names, numbers and indices apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data import HAS_HEADER, TableError, read_table
from tests.data.test_tables import VALUES, write_csv


@pytest.mark.parametrize("names", ["2019,2020,2021", "0,1,2", "7,5,3"])
def test_a_first_line_of_integers_asks_whether_it_is_a_header(tmp_path: Path, names: str) -> None:
    path = write_csv(tmp_path / "t.csv", VALUES, names)
    with pytest.raises(TableError, match=f"line 1 is {names}, which may be names or"):
        read_table(path)
    named = read_table(path, header=True)
    assert named.columns == tuple(names.split(","))
    np.testing.assert_array_equal(named.values, VALUES)
    assert len(read_table(path, header=False).values) == len(VALUES) + 1
    # Above other lines of integers it is data, unless it counts the columns.
    write_csv(tmp_path / "i.csv", np.round(VALUES * 100).astype(int), "2019,2020,2021")
    assert len(read_table(tmp_path / "i.csv").values) == len(VALUES) + 1
    write_csv(tmp_path / "i.csv", np.round(VALUES * 100).astype(int), "0,1,2")
    with pytest.raises(TableError, match="say --header present or absent"):
        read_table(tmp_path / "i.csv")
    with pytest.raises(TableError, match="line 1, column 0 is 'a', expected a finite number"):
        read_table(write_csv(tmp_path / "h.csv", VALUES, "a,b,c"), header=False)


def test_the_commands_words_say_whether_there_is_a_header(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", VALUES, "2019,2020,2021")
    named, plain = (read_table(path, header=HAS_HEADER[word]) for word in ("present", "absent"))
    assert (len(named.values), len(plain.values)) == (len(VALUES), len(VALUES) + 1)
    assert HAS_HEADER["auto"] is None


@pytest.mark.parametrize("names", [",b,c", "Unnamed: 0,b,c", ""])
@pytest.mark.parametrize("start", [0, 1])
def test_an_index_written_by_pandas_is_refused(tmp_path: Path, names: str, start: int) -> None:
    values = VALUES.copy()
    values[:, 0] = np.arange(len(values)) + start
    path = write_csv(tmp_path / "t.csv", values, names)
    with pytest.raises(TableError, match=r"t\.csv: the first column numbers the rows, as pandas"):
        read_table(path)
    assert read_table(write_csv(path, values, "year,b,c")).columns[0] == "year"


def test_an_index_of_shuffled_rows_is_refused(tmp_path: Path) -> None:
    values = VALUES.copy()
    values[:, 0] = np.random.default_rng(0).permutation(100)[: len(values)]
    with pytest.raises(TableError, match="the first column numbers the rows"):
        read_table(write_csv(tmp_path / "t.csv", values, ",b,c"))


def test_headers_are_told_from_numbers(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "T.CSV", VALUES, delimiter=",", header="a, b, c")
    assert read_table(tmp_path / "T.CSV").columns == ("a", "b", "c")
    with (tmp_path / "T.NPY").open("wb") as file:
        np.save(file, VALUES)
    np.testing.assert_array_equal(read_table(tmp_path / "T.NPY").values, VALUES)


def test_decimal_commas_are_refused_with_a_hint(tmp_path: Path) -> None:
    text = write_csv(tmp_path / "t.csv", VALUES, "a,b,c").read_text()
    (tmp_path / "t.csv").write_text(text.replace(",", ";").replace(".", ","))
    message = "line 2 has 4 cells, expected 1: cells are separated by commas"
    with pytest.raises(TableError, match=message):
        read_table(tmp_path / "t.csv")


def test_column_without_a_name_gets_its_number(tmp_path: Path) -> None:
    assert read_table(write_csv(tmp_path / "t.csv", VALUES, "a,,c")).columns == ("a", "1", "c")


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("1_000.5", "is '1_000.5', expected a finite number"),
        ("١٢", "is '١٢', expected a finite number"),
        ("1.5;2.5", "is '1.5;2.5', expected a finite number: cells are separated by commas"),
        ("9007199254740993", r"line 4: holds the integer 9007199254740993, expected at most 2\^53"),
    ],
)
def test_cell_that_would_be_misread_is_refused(tmp_path: Path, cell: str, message: str) -> None:
    path = write_csv(tmp_path / "t.csv", VALUES, "a,b,c")
    lines = path.read_text().splitlines()
    lines[3] = f"{cell},2,3"
    path.write_text("\n".join(lines))
    with pytest.raises(TableError, match=message):
        read_table(path)
