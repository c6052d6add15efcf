"""Paths between two rows of a table, from the command line."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.cli import main


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a table whose first column holds integers, and of a model fitted to it."""
    folder = tmp_path_factory.mktemp("rows")
    rng = np.random.default_rng(0)
    counts, reals = rng.integers(-3, 9, 60), rng.standard_normal(60)
    lines = [f"{count},{real!r}" for count, real in zip(counts, reals.tolist(), strict=True)]
    (folder / "table.csv").write_text("\n".join(["count,real", *lines]) + "\n")
    options = ["--dequantize", "--hidden", "[8]", "--max_epochs", "2"]
    words = ["density", str(folder / "table.csv"), *options, "--out", str(folder / "model")]
    assert main(words) == 0
    return folder


def command(folder: Path, out: Path, *options: str) -> list[str]:
    words = ["interpolate-rows", "--model", str(folder / "model"), "--table"]
    return [*words, str(folder / "table.csv"), "--out", str(out), *options]


@pytest.mark.parametrize("path", ["linear", "spherical"])
def test_the_path_starts_and_ends_at_the_rows(fitted: Path, tmp_path: Path, path: str) -> None:
    out = tmp_path / "path.csv"
    options = ["--first", "3", "--second", "11", "--num_steps", "5", "--path", path]
    assert main(command(fitted, out, *options)) == 0
    table = (fitted / "table.csv").read_text().splitlines()
    header, *lines = out.read_text().splitlines()
    assert header == table[0]
    assert len(lines) == 5
    for line, expected in ((lines[0], table[1 + 3]), (lines[-1], table[1 + 11])):
        (count, real), (expected_count, expected_real) = line.split(","), expected.split(",")
        assert count == expected_count
        assert float(real) == pytest.approx(float(expected_real), abs=1e-5)
    middle = [float(cell) for cell in lines[2].split(",")]
    assert np.isfinite(middle).all()
    assert middle[0].is_integer()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--first", "60", "--second", "0"], "row 60, expected 0 to 59"),
        (["--first", "0", "--second=-1"], "row -1, expected 0 to 59"),
        (["--first", "0", "--second", "1", "--num_steps", "1"], "num_steps is 1, expected"),
        (["--first", "0", "--second", "1", "--table", "three.npy"], "has 3 columns, but"),
        (
            ["--first", "0", "--second", "1", "--model", "missing"],
            "missing: no such folder; the pretr",
        ),
    ],
)
def test_mistake_is_told_in_one_line(
    fitted: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("three.npy", np.random.default_rng(0).standard_normal((60, 3)))
    assert main(command(fitted, tmp_path / "out.csv", *options)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.csv").exists()


def test_columns_in_another_order_are_refused(
    fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = (fitted / "table.csv").read_text().splitlines()
    swapped = [",".join(reversed(row.split(","))) for row in rows]
    (tmp_path / "swapped.csv").write_text("\n".join(swapped) + "\n")
    options = ["--first", "0", "--second", "1", "--table", str(tmp_path / "swapped.csv")]
    assert main(command(fitted, tmp_path / "out.csv", *options)) == 2
    assert "has the columns real, count, but" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


def test_an_array_has_the_models_columns(fitted: Path, tmp_path: Path) -> None:
    rows = (fitted / "table.csv").read_text().splitlines()[1:]
    np.save(tmp_path / "table.npy", np.array([row.split(",") for row in rows], dtype=float))
    ends, lines = ["--first", "0", "--second", "1"], []
    for table in (fitted / "table.csv", tmp_path / "table.npy"):
        assert main(command(fitted, tmp_path / "out.csv", *ends, "--table", str(table))) == 0
        lines.append((tmp_path / "out.csv").read_text().splitlines()[1:])
    assert lines[0] == lines[1]
