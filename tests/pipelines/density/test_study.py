"""The study of densities: its results, its repeated fits, and its tables."""

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pytest

from data.corpora.debian import DebianPackage
from pipelines.density import study_tables
from pipelines.density.mixture import MixtureConfig
from pipelines.density.study import PLANS, Plan, study, study_markdown
from pipelines.density.study_tables import TABLES, fashion, study_table
from pipelines.density.zuko_comparison import summary

QUICK = {"max_epochs": 1, "batch_size": 100}


def plan(**fits: dict[str, float]) -> Plan:
    mixture = MixtureConfig(num_components=2, ridges=(1e-3, 1e-2), max_iterations=5)
    return Plan(mixture=mixture, sizes={"maf": {"hidden": (8,)}}, fits=fits)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of a study of a small table of integers."""
    monkeypatch.setitem(TABLES, "small", lambda: np.random.default_rng(0).integers(0, 9, (300, 3)))
    monkeypatch.setitem(PLANS, "small", plan(maf=QUICK))
    return tmp_path


def run(folder: Path, seeds: list[int]) -> dict[str, list[dict[str, float]]]:
    study("small", seeds=seeds, out=folder / "out", report=folder, corpora=folder)
    return json.loads((folder / "small.json").read_text())


def test_every_model_has_an_entry_for_every_seed(folder: Path) -> None:
    results = run(folder, [3, 4])
    assert list(results) == ["full Gaussian", "mixture of 20 Gaussians", "maf"]
    for entries in results.values():
        assert [entry["seed"] for entry in entries] == [3, 4]
    assert results["mixture of 20 Gaussians"][0]["ridge"] in (1e-3, 1e-2)
    assert (folder / "small.md").read_text() == study_markdown(results) + "\n"


def test_only_what_has_changed_is_fitted_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(folder, [0])
    weights = folder / "out/small/maf-0/model.safetensors"
    written = weights.stat().st_mtime_ns
    assert run(folder, [0]) == first
    assert weights.stat().st_mtime_ns == written
    monkeypatch.setitem(PLANS, "small", plan(maf=QUICK | {"learning_rate": 1e-2}))
    assert run(folder, [0])["maf"] != first["maf"]
    assert run(folder, [0])["full Gaussian"] == first["full Gaussian"]


def test_table_shows_differences_from_the_baselines_of_the_same_seed() -> None:
    entry = {"num_params": 1000, "cpu_seconds": 2.4}
    nats = {"full Gaussian": (-5, -9), "mixture of 20 Gaussians": (-4, -7), "maf": (-1, -3)}
    lines = study_markdown(
        {name: [entry | {"test_nats": value} for value in values] for name, values in nats.items()}
    ).splitlines()
    assert lines[-1] == "| maf | 1,000 | -2.00 ± 1.00 | 5.00 ± 1.00 | 3.50 ± 0.50 | 2 |"


def test_unknown_names_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="table is 'digit', expected one of digits"):
        study("digit")
    with pytest.raises(ValueError, match="family is 'nice', expected one of maf"):
        study("small", families=["nice"], corpora=folder)


def test_fashion_is_every_image_at_half_resolution(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8)

    def unpack(package: DebianPackage, target: Path) -> Path:
        place = target / package.content_folder
        place.mkdir(parents=True)
        for name, part in zip(study_tables.IMAGE_FILES, (images[:9], images[9:]), strict=True):
            header = struct.pack(">4I", 0x0803, len(part), 28, 28)
            (place / name).write_bytes(gzip.compress(header + part.tobytes()))
        return target

    monkeypatch.setattr(study_tables, "unpack_package", unpack)
    table = fashion()
    assert table.shape == (12, 196)
    assert table[5, 0] == images[5, :2, :2].astype(int).sum()
    assert table[10, -1] == images[10, -2:, -2:].astype(int).sum()
    monkeypatch.setattr(study_tables, "IDX_MAGIC", 0x0801)
    with pytest.raises(ValueError, match=r"idx3-ubyte\.gz: magic number 0x803 and shape"):
        fashion()


def test_a_table_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TABLES, "small", lambda: np.arange(6).reshape(3, 2))
    path = study_table("small", tmp_path)
    monkeypatch.delitem(TABLES, "small")
    assert study_table("small", tmp_path) == path
    np.testing.assert_array_equal(np.load(path), np.arange(6).reshape(3, 2))


def test_comparison_with_zuko_averages_over_seeds() -> None:
    runs = [
        {
            "ours": {"test_nats": -10.0 + gain, "median_step_ms": 3.0},
            "zuko": {"test_nats": -10.0, "median_step_ms": slow},
        }
        for gain, slow in ((0.0, 3.0), (1.0, 4.0), (2.0, 6.0))
    ]
    found = summary(runs)
    assert found["nats_above_zuko"] == pytest.approx(1.0)
    assert found["nats_above_zuko_error"] == pytest.approx(1 / 3**0.5)
    assert found["step_time_over_zuko"] == pytest.approx(0.75)
