"""The folder of a density, and the models that it does not replace."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.cli import main

TABLE = np.random.default_rng(0).standard_normal((60, 2))
QUICK_OPTIONS = ["--hidden", "[4]", "--max_epochs", "1"]


def test_another_model_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "data.npy", TABLE)
    folders = {"density": tmp_path / "m", "teacher": tmp_path / "t", "training": tmp_path / "c"}
    (folders["training"] / "checkpoints").mkdir(parents=True)
    folders["teacher"].mkdir()
    described = {"format": 1, "kind": "teacher", "config": {}, "metadata": {}}
    (folders["teacher"] / "config.json").write_text(json.dumps(described))

    def run(table: str, kind: str) -> tuple[int, str]:
        words = [str(tmp_path / table / "data.npy"), "--out", str(folders[kind])]
        return main(["density", *words, *QUICK_OPTIONS]), capsys.readouterr().err

    assert run("a", "density")[0] == 0
    assert run("a", "density")[0] == 0  # its own model is fitted again
    before = (folders["density"] / "config.json").read_bytes()
    for kind, holds in (
        ("density", f"holds a density of {tmp_path / 'a' / 'data.npy'}"),
        ("teacher", "holds a teacher"),
        ("training", "holds checkpoints of a training run"),
    ):
        code, error = run("b", kind)
        assert code == 2
        assert f"{holds}: choose another --out" in error
    assert (folders["density"] / "config.json").read_bytes() == before


def test_tables_of_one_name_get_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    np.save("data.npy", TABLE)
    np.save("a/data.npy", TABLE)
    np.savez("both.npz", x=TABLE, y=TABLE)
    folders = []
    for words in (["data.npy"], ["a/data.npy"], ["./data.npy"], ["both.npz", "--key", "x"]):
        assert main(["density", *words, *QUICK_OPTIONS]) == 0
        folders.append(capsys.readouterr().out.splitlines()[-1])
    assert folders[0] == folders[2] == "model: exp/density/data-maf"
    assert folders[1].startswith("model: exp/density/data-maf-")
    assert folders[3] == "model: exp/density/both-x-maf"


@pytest.mark.parametrize("name", ["result.json", "metrics.jsonl", "model.safetensors"])
def test_files_of_somebody_else_are_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    np.save(tmp_path / "data.npy", TABLE)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_text("mine")
    words = [str(tmp_path / "data.npy"), "--out", str(tmp_path / "mine")]
    assert main(["density", *words, *QUICK_OPTIONS]) == 2
    assert f"holds {name}, but no density: choose another --out" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "mine").glob("[!.]*")] == [name]
    assert (tmp_path / "mine" / name).read_text() == "mine"
