"""Tables: reading, the messages of refusals, and the split of rows."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data import TOYS, TableError, discrete_columns, read_table, repeated_values, split_rows
from data.tables import MIN_ROWS, NUM_TOY_ROWS

VALUES = np.random.default_rng(0).standard_normal((40, 3))


def write_csv(path: Path, rows: np.ndarray, header: str = "") -> Path:
    lines = [",".join(map(repr, row)) for row in rows.tolist()]
    path.write_text("\n".join(([header] if header else []) + lines) + "\n")
    return path


def test_every_format_gives_the_same_table(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", VALUES)
    np.savez(tmp_path / "one.npz", rows=VALUES)
    np.savez(tmp_path / "two.npz", rows=VALUES, labels=np.zeros(40))
    write_csv(tmp_path / "plain.csv", VALUES)
    write_csv(tmp_path / "headed.csv", VALUES, "age,height,ß")
    for name, key, columns in (
        ("t.npy", None, ("0", "1", "2")),
        ("one.npz", None, ("0", "1", "2")),
        ("two.npz", "rows", ("0", "1", "2")),
        ("plain.csv", None, ("0", "1", "2")),
        ("headed.csv", None, ("age", "height", "ß")),
    ):
        table = read_table(tmp_path / name, key)
        np.testing.assert_array_equal(table.values, VALUES)
        assert table.values.dtype == np.float64
        assert table.columns == columns


def test_a_byte_order_mark_and_blank_lines_are_ignored(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", VALUES, "a,b,c")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"\n\n")
    assert read_table(path).columns == ("a", "b", "c")
    np.testing.assert_array_equal(read_table(path).values, VALUES)


def edited(row: int, column: int, value: float) -> np.ndarray:
    values = VALUES.copy()
    values[row, column] = value
    return values


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (VALUES[0], r"has shape \(3,\), expected \(rows, columns\)"),
        (VALUES[None], r"has shape \(1, 40, 3\), expected \(rows, columns\)"),
        (VALUES[:, :0], "has no columns"),
        (VALUES[:29], f"has 29 rows, expected at least {MIN_ROWS}"),
        (VALUES.astype(str), "is not a .npy file of plain numbers"),
        (VALUES.astype(complex), "dtype is complex128, expected real numbers"),
        (VALUES.astype(object), "is not a .npy file of plain numbers .objects are never loaded"),
        (edited(5, 1, np.nan), "row 5, column 1 is nan, expected a finite number$"),
        (edited(5, 2, -np.inf), "row 5, column 2 is -inf, expected a finite number$"),
        (VALUES * np.nan, r"row 0, column 0 is nan, .* \(120 such cells\)"),
    ],
)
def test_an_array_that_is_not_a_table_is_refused(
    tmp_path: Path, array: np.ndarray, message: str
) -> None:
    np.save(tmp_path / "t.npy", array)
    with pytest.raises(TableError, match=rf"t\.npy: {message}") as error:
        read_table(tmp_path / "t.npy")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda lines: [], "is empty"),
        (lambda lines: lines[:1], "has 0 rows, expected at least 30"),
        (
            lambda lines: [*lines[:3], "1,two,3", *lines[4:]],
            "line 4, column b is 'two', expected a finite number",
        ),
        (
            lambda lines: [*lines[:3], "1,2,", *lines[4:]],
            "line 4, column c is '', expected a finite number",
        ),
        (
            lambda lines: [*lines[:3], "nan,2,3", *lines[4:]],
            "line 4, column a is 'nan', expected a finite number",
        ),
        (lambda lines: [*lines[:3], "1,2", *lines[4:]], "line 4 has 2 cells, expected 3"),
        (
            lambda lines: ["1,b,c", *lines[1:]],
            "line 1, column 1 is 'b', expected a finite number",
        ),
        (lambda lines: ["a,b\0,c,d"], "has 0 rows|cannot be read"),
    ],
)
def test_bad_cell_is_named(
    tmp_path: Path, edit: Callable[[list[str]], list[str]], message: str
) -> None:
    path = write_csv(tmp_path / "t.csv", VALUES, "a,b,c")
    path.write_text("".join(f"{line}\n" for line in edit(path.read_text().splitlines())))
    with pytest.raises(TableError, match=rf"t\.csv: {message}") as error:
        read_table(path)
    assert "\n" not in str(error.value)


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (exec, ("raise SystemExit('executed')",))

    (tmp_path / "pickled.npy").write_bytes(pickle.dumps(Bomb()))
    (tmp_path / "empty.npy").touch()
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 and no more")
    (tmp_path / "latin1.csv").write_bytes(b"\xe4,\xf6\n1,2\n")
    np.save(tmp_path / "short.npy", VALUES)
    (tmp_path / "short.npy").write_bytes((tmp_path / "short.npy").read_bytes()[:-8])
    (tmp_path / "folder.csv").mkdir()
    names = ("pickled.npy", "empty.npy", "broken.npz", "latin1.csv", "short.npy", "folder.csv")
    for name in (*names, "missing.npy", "missing.csv"):
        with pytest.raises(TableError, match=f"{name}: .") as error:
            read_table(tmp_path / name)
        assert "\n" not in str(error.value)
    with pytest.raises(TableError, match=r"t\.txt: expected a \.npy, \.npz or \.csv file"):
        read_table(tmp_path / "t.txt")


def test_array_of_an_archive_is_chosen_by_name(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    np.savez(path, a=VALUES, b=VALUES)
    with pytest.raises(TableError, match="holds 'a', 'b'; name one array with --key"):
        read_table(path)
    with pytest.raises(TableError, match="key is 'c', but it holds 'a', 'b'"):
        read_table(path, "c")
    np.savez(path)
    with pytest.raises(TableError, match="holds nothing"):
        read_table(path)
    with pytest.raises(TableError, match=r"only an \.npz archive has keys"):
        read_table(tmp_path / "t.csv", "a")


def test_integers_are_discrete_and_constants_have_no_density(tmp_path: Path) -> None:
    values = np.concatenate([VALUES, VALUES], 1)
    values[:, 1] = np.arange(40)
    values[:, 4] = 0
    np.save(tmp_path / "t.npy", values)
    table = read_table(tmp_path / "t.npy")
    with pytest.raises(TableError, match=r"column 1 holds only integers.*--dequantize"):
        discrete_columns(table, dequantize=False)
    np.testing.assert_array_equal(discrete_columns(table, dequantize=True).nonzero()[0], [1, 4])
    values[:, 1] = values[:, 0]
    np.save(tmp_path / "t.npy", values)
    with pytest.raises(TableError, match="column 4 holds one value only"):
        discrete_columns(read_table(tmp_path / "t.npy"), dequantize=False)
    values[:, 2:4] = 0.5
    np.save(tmp_path / "t.npy", values)
    with pytest.raises(TableError, match=r"2 columns \(2, 3\) hold one value only"):
        discrete_columns(read_table(tmp_path / "t.npy"), dequantize=True)


def test_table_of_integers_is_named_shortly(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.arange(400, dtype=np.uint8).reshape(40, 10) % 7)
    with pytest.raises(TableError, match=r"10 columns \(0, 1, 2, 3, 4, \.\.\.\) hold only"):
        discrete_columns(read_table(tmp_path / "t.npy"), dequantize=False)


def test_every_row_is_in_one_split(tmp_path: Path) -> None:
    parts = split_rows(103, seed=0, val_percent=10, test_percent=20)
    assert [len(parts[name]) for name in ("train", "val", "test")] == [72, 10, 21]
    assert sorted(np.concatenate(list(parts.values()))) == list(range(103))
    again, other = split_rows(103, 0, 10, 20), split_rows(103, 1, 10, 20)
    np.testing.assert_array_equal(parts["test"], again["test"])
    assert set(parts["test"]) != set(other["test"])
    with pytest.raises(ValueError, match="val_percent is 0, expected"):
        split_rows(103, 0, val_percent=0)
    with pytest.raises(ValueError, match="leave none of 30 rows"):
        split_rows(30, 0, val_percent=49.9, test_percent=50)


@pytest.mark.parametrize("name", TOYS)
def test_toys_are_seeded_and_of_their_size(name: str) -> None:
    table = read_table(f"toy:{name}", seed=1)
    assert table.values.shape == (NUM_TOY_ROWS, 2)
    np.testing.assert_array_equal(table.values, read_table(f"toy:{name}", seed=1).values)
    assert (table.values != read_table(f"toy:{name}", seed=2).values).all()
    assert np.abs(table.values).max() < 4


def test_toys_have_their_shapes() -> None:
    rng = np.random.default_rng(0)
    radius = np.linalg.norm(TOYS["rings"](3000, rng), axis=1)
    assert np.abs(radius - np.round(radius).clip(1, 3)).mean() == pytest.approx(0.08, abs=0.01)
    board = np.floor(TOYS["checkerboard"](3000, rng)).astype(int)
    assert (board.sum(1) % 2 == 0).all()
    assert len(np.unique(board, axis=0)) == 8


def test_unknown_toy_is_refused() -> None:
    with pytest.raises(TableError, match="toy is 'moon', expected one of moons, rings"):
        read_table("toy:moon")


def test_integers_that_a_float_cannot_hold_are_refused(tmp_path: Path) -> None:
    values = np.arange(80).reshape(40, 2) ** 2
    values[7, 1] = 2**53 + 1
    np.save(tmp_path / "t.npy", values)
    with pytest.raises(TableError, match=r"holds the integer 9007199254740993, expected at most"):
        read_table(tmp_path / "t.npy")
    np.save(tmp_path / "t.npy", np.full((40, 2), 2**63, np.uint64))
    with pytest.raises(TableError, match=r"holds the integer 9223372036854775808"):
        read_table(tmp_path / "t.npy")


@pytest.mark.parametrize(
    ("scale", "dtype"), [(1e17, np.float64), (1e8, np.float32), (3e4, np.float16)]
)
def test_floats_too_large_for_a_fraction_are_not_called_integers(
    tmp_path: Path, scale: float, dtype: type
) -> None:
    np.save(tmp_path / "t.npy", (scale * (1 + 0.1 * VALUES)).astype(dtype))
    table = read_table(tmp_path / "t.npy")
    assert not discrete_columns(table, dequantize=False).any()
    np.save(tmp_path / "t.npy", np.round(100 * VALUES).astype(dtype))
    assert read_table(tmp_path / "t.npy").is_integer.all()


def test_values_in_many_rows_are_found(tmp_path: Path) -> None:
    values = np.random.default_rng(1).standard_normal((400, 4))
    values[::2, 1] = 0
    values[:, 2] = np.round(values[:, 2], 1)
    values[:9, 3] = np.arange(9)
    np.save(tmp_path / "t.npy", values)
    table = read_table(tmp_path / "t.npy")
    found = repeated_values(table, np.zeros(4, bool))
    assert found[0] == "column 1: 50 % of the rows are exactly 0"
    assert len(found) == 2
    assert found[1].startswith("column 2: ")
    assert repeated_values(table, np.array([False, True, True, False])) == []
    np.save(tmp_path / "e.npy", values[:, [0, 3, 0]])
    table = read_table(tmp_path / "e.npy")
    assert repeated_values(table, np.zeros(3, bool)) == ["columns 0 and 2 are equal"]


def test_single_row_to_test_is_refused() -> None:
    with pytest.raises(ValueError, match=r"test_percent=0\.1 leaves 1 of 300 rows to test"):
        split_rows(300, 0, 10, 0.1)
    assert len(split_rows(300, 0, 0.1, 1)["test"]) == 3
