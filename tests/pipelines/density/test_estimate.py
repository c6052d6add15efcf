"""Densities of tables: likelihoods, seeds, and the files of the command."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from data import Table
from flows import ArtefactError
from flows.families import FAMILIES, FamilyConfig, family_config
from pipelines.cli import main
from pipelines.density.baselines import gaussian_log_prob
from pipelines.density.fit import FitConfig, Likelihood, fit, log_prob, start_model
from pipelines.density.model import DensityModel
from pipelines.density.rows import Rows

SMALL = family_config("maf", 3, num_layers=2, hidden=(16,))
QUICK = FitConfig(max_epochs=3, batch_size=100, learning_rate=3e-3)


def correlated(num_rows: int = 2000, seed: int = 0) -> np.ndarray:
    """Draw rows of a Gaussian with strong correlations, far from zero, on different scales."""
    rng = np.random.default_rng(seed)
    mixing = np.array([[1.0, 0.0, 0.0], [0.9, 0.3, 0.0], [-0.5, 0.4, 0.6]])
    return rng.standard_normal((num_rows, 3)) @ mixing.T * [1.0, 64.0, 2.0**-10] + [1e6, 3.0, 0.0]


def as_table(values: np.ndarray) -> Table:
    return Table("test", values.astype(np.float64), tuple(map(str, range(values.shape[1]))))


def fitted(values: np.ndarray, family: FamilyConfig = SMALL, config: FitConfig = QUICK) -> tuple:
    rows = Rows.from_table(as_table(values), seed=config.seed)
    model = start_model(family, rows, config.seed)
    epochs = fit(model, rows, config)
    return model, rows, epochs


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a model fitted by the command to a small table; not to be changed."""
    folder = tmp_path_factory.mktemp("density")
    np.save(folder / "table.npy", correlated(300)[:, 1:])
    options = ["--hidden", "[8]", "--max_epochs", "2", "--out", str(folder / "model")]
    assert main(["density", str(folder / "table.npy"), *options]) == 0
    return folder


def test_flow_learns_a_gaussian_as_well_as_a_gaussian() -> None:
    config = FitConfig(max_epochs=25, batch_size=100, learning_rate=1e-2)
    model, rows, _ = fitted(correlated(), config=config)
    learned = Likelihood.of(log_prob(model, rows.test))
    gaussian = Likelihood.of(gaussian_log_prob(rows, rows.test))
    assert learned.nats == pytest.approx(gaussian.nats, abs=0.06)
    assert learned.standard_error == pytest.approx(math.sqrt(1.5 / 200), rel=0.3)


def test_gaussian_baseline_is_the_gaussian_of_the_rows() -> None:
    rows = Rows.from_table(as_table(correlated()))
    # At the maximum-likelihood fit the training rows average D/2 nats below the peak.
    peak = -0.5 * (3 * math.log(2 * math.pi) + float(torch.linalg.slogdet(rows.covariance)[1]))
    assert float(gaussian_log_prob(rows, rows.train).mean()) == pytest.approx(peak - 1.5, abs=1e-4)


def test_other_units_change_the_nats_by_their_log_det() -> None:
    # Powers of two and no offset: the standardised rows are the same bit for bit.
    values, units = correlated() - [1e6, 3.0, 0.0], np.array([2.0**20, 0.5, 2.0**-7])
    model, rows, _ = fitted(values)
    rescaled, rescaled_rows, _ = fitted(values * units)
    expected = log_prob(model, rows.test) - np.log(units).sum()
    torch.testing.assert_close(log_prob(rescaled, rescaled_rows.test), expected, rtol=0, atol=1e-9)


def test_density_in_the_data_units_integrates_to_one() -> None:
    model, _, _ = fitted(correlated()[:, :1], family_config("maf", 1, hidden=(8,)))
    grid = torch.linspace(1e6 - 12, 1e6 + 12, 4001, dtype=torch.float64)[:, None]
    total = log_prob(model, grid).exp().sum() * (grid[1] - grid[0])
    assert float(total) == pytest.approx(1.0, abs=1e-4)


def test_the_seed_decides_everything() -> None:
    first, rows, epochs = fitted(correlated())
    again, _, again_epochs = fitted(correlated())
    for name, value in first.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=0, atol=0)
    assert [e.val for e in again_epochs] == [e.val for e in epochs]
    config = FitConfig(max_epochs=3, batch_size=100, learning_rate=3e-3, seed=1)
    other, other_rows, _ = fitted(correlated(), config=config)
    assert not torch.equal(other_rows.test, rows.test)
    assert not torch.equal(log_prob(other, rows.test), log_prob(first, rows.test))


def test_the_best_validated_weights_are_kept_and_a_stalled_fit_ends() -> None:
    config = FitConfig(max_epochs=200, patience=5, batch_size=20, learning_rate=3e-2)
    model, rows, epochs = fitted(correlated(200), config=config)
    values = [epoch.val for epoch in epochs]
    best = values.index(max(values))
    assert len(values) == best + 1 + 5 < 200
    assert float(log_prob(model, rows.val).mean()) == pytest.approx(values[best], abs=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_starts_improves_and_samples(family: str) -> None:
    hidden = (8,) if FAMILIES[family].hidden else ()
    sizes = family_config(family, 2, num_layers=2, hidden=hidden)
    rows = Rows.from_table(as_table(correlated(200)[:, 1:]))
    model = start_model(sizes, rows, seed=0)
    before = log_prob(model, rows.train).mean()
    fit(model, rows, FitConfig(max_epochs=4, batch_size=40, learning_rate=3e-3))
    assert log_prob(model, rows.train).mean() > before
    drawn = model.sample(1000, torch.Generator().manual_seed(0))
    assert drawn.dtype == torch.float64
    assert ((drawn.mean(0) - rows.mean).abs() < 0.5 * model.scale).all()


def test_integers_get_fresh_noise_to_train_and_fixed_noise_to_test() -> None:
    values = np.random.default_rng(0).integers(-3, 4, (200, 2))
    rows = Rows.from_table(as_table(values), dequantize=True)
    generator = torch.Generator().manual_seed(0)
    first, second = rows.noisy_train(generator), rows.noisy_train(generator)
    assert not torch.equal(first, second)
    for noisy in (first, second):
        torch.testing.assert_close(noisy.floor(), rows.train, rtol=0, atol=0)
    assert not torch.equal(rows.test, rows.test.floor())
    many = torch.cat([rows.noisy_train(generator) for _ in range(200)])
    torch.testing.assert_close(rows.mean, many.mean(0), rtol=0, atol=0.01)
    torch.testing.assert_close(rows.covariance, torch.cov(many.T), rtol=0, atol=0.03)


def test_column_constant_in_the_training_rows_is_refused() -> None:
    values = correlated(40)
    values[:, 2] = 0.5
    seed = 0
    held_out = Rows.from_table(as_table(np.arange(40)[:, None] + 0.5), seed=seed).test[0]
    values[int(held_out), 2] = 7.5
    with pytest.raises(ValueError, match="column 2 holds one value only in the 32 training rows"):
        Rows.from_table(as_table(values), seed=seed)


@pytest.mark.parametrize(("scale", "variance"), [(1e200, "inf"), (1e-200, "0")])
def test_a_column_out_of_range_is_named(scale: float, variance: str) -> None:
    values = np.random.default_rng(0).normal(size=(40, 2)) * [1.0, scale]
    with pytest.raises(
        ValueError, match=f"^test: column 1 has a variance of {variance} in float64"
    ):
        Rows.from_table(as_table(values))


def test_a_loaded_model_is_the_saved_one(saved: Path) -> None:
    model = DensityModel.from_pretrained(saved / "model")
    result = json.loads((saved / "model/result.json").read_text())
    rows = Rows.from_table(as_table(np.load(saved / "table.npy")))
    found = Likelihood.of(log_prob(model, rows.test))
    assert found.nats == result["models"]["maf"]["test_nats"]
    assert model.metadata["models"] == result["models"]
    model.save_pretrained(saved / "again")
    for name in ("config.json", "model.safetensors"):
        assert (saved / "again" / name).read_bytes() == (saved / "model" / name).read_bytes()


def test_interpolation_ends_at_its_rows(saved: Path) -> None:
    model = DensityModel.from_pretrained(saved / "model")
    x = torch.from_numpy(np.load(saved / "table.npy"))
    for path in ("linear", "spherical"):
        points = model.interpolate(x[:5], x[5:10], 4, path)
        assert points.shape == (4, 5, 2)
        for end, expected in ((points[0], x[:5]), (points[-1], x[5:10])):
            torch.testing.assert_close(end / model.scale, expected / model.scale, atol=1e-4, rtol=0)


def test_command_reports_beside_the_baseline_and_draws_two_columns(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = saved / "gaussianization"
    options = ["--family", "gaussianization", "--num_layers", "1", "--max_epochs", "1"]
    assert main(["density", str(saved / "table.npy"), *options, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    result = json.loads((out / "result.json").read_text())
    for name in ("full Gaussian", "gaussianization"):
        model = result["models"][name]
        assert f"| {name} | {model['test_nats']:.3f} | {model['standard_error']:.3f} |" in printed
    assert sorted(p.name for p in out.iterdir()) == [
        ".lock",
        "README.md",
        "config.json",
        "density.png",
        "metrics.jsonl",
        "model.safetensors",
        "result.json",
    ]
    assert (out / "density.png").read_bytes().startswith(b"\x89PNG")
    assert len((out / "metrics.jsonl").read_text().splitlines()) == result["epochs"] == 1


def test_a_flag_alone_means_true(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "t.npy", np.random.default_rng(0).integers(0, 5, (60, 3)))
    options = ["--hidden", "[4]", "--max_epochs", "1", "--out", str(tmp_path / "m")]
    for flag in (["--dequantize"], ["--dequantize", "true"], ["--dequantize=true"]):
        assert main(["density", *flag, str(tmp_path / "t.npy"), *options]) == 0
        assert "3 columns of integers carry uniform noise" in capsys.readouterr().out
    assert main(["density", str(tmp_path / "t.npy"), "--dequantize", "false", *options]) == 2


def test_the_header_option_decides_about_the_first_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "\n".join(f"{a},{b}" for a, b in np.random.default_rng(0).standard_normal((60, 2)))
    (tmp_path / "t.csv").write_text(f"2019,2020\n{rows}\n")
    options = ["--hidden", "[4]", "--max_epochs", "1", "--out", str(tmp_path / "m")]
    assert main(["density", str(tmp_path / "t.csv"), *options]) == 2
    assert "say --header present or absent" in capsys.readouterr().err
    assert main(["density", str(tmp_path / "t.csv"), "--header", "present", *options]) == 0
    result = json.loads((tmp_path / "m/result.json").read_text())
    assert result["table"]["columns"] == ["2019", "2020"]


def test_a_column_of_one_value_in_many_rows_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = correlated(200)
    values[::2, 1] = 0
    np.save(tmp_path / "t.npy", values)
    options = ["--hidden", "[4]", "--max_epochs", "1", "--out", str(tmp_path / "m")]
    assert main(["density", str(tmp_path / "t.npy"), *options]) == 0
    error = capsys.readouterr().err
    assert "t.npy: column 1: 50 % of the rows are exactly 0; a flow gains nats by a spike" in error
    assert "column 0" not in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["table.npy", "--family", "mfa"], "did you mean 'maf'?"),
        (["table.npy", "--key", "a"], "only an .npz archive has keys"),
        (["table.npy", "--max_epochs", "0"], "max_epochs is 0, expected at least 1"),
        (["table.npy", "--learning_rate=-1"], "learning_rate is -1.0, expected a finite"),
        (["table.npy", "--weight_decay=-1"], "weight_decay is -1.0, expected a finite"),
        (["table.npy", "--ema_decay", "1"], "ema_decay is 1.0, expected 0 to 1"),
        (["table.npy", "--val_percent", "60", "--test_percent", "50"], "is 110.0, expected below"),
        (["table.npy", "--device", "tpu"], "device 'tpu' cannot be used here: expected auto, cpu"),
        (["table.npy", "--device", "mps"], "device 'mps' cannot be used here: expected auto, cpu"),
        (["table.npy", "--device", "meta"], "device 'meta' cannot be used here: expected auto"),
        (["table.npy", "--device", "cpu:x"], "device 'cpu:x' cannot be used here: expected auto"),
        (["table.npy", "--device", "cuda:99"], "device 'cuda:99' cannot be used here: "),
        (
            ["table.npy", "--table", "x"],
            "table goes without its name: parallel-wavenet density",
        ),
        (["table.npy", "--test_percent", "0.1"], "test_percent=0.1 leaves 1 of 300 rows to test"),
        (["table.npy", "--header", "present"], "header is given, but only a .csv file has a first"),
        (["integers.npy"], "40 columns (0, 1, 2, 3, 4, ...) hold only integers"),
        (["integers.npy", "--dequantize", "--family", "iaf"], "has 40 columns, but the likelihood"),
        (["missing.npy"], "missing.npy: No such file"),
        (["toy:moon"], "toy is 'moon'"),
        (
            ["table.npy", "--patiense", "3"],
            "unknown option '--patiense' (did you mean '--patience'?)",
        ),
    ],
)
def test_mistake_is_told_in_one_line(
    saved: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    np.save(tmp_path / "table.npy", np.load(saved / "table.npy"))
    np.save(tmp_path / "integers.npy", np.random.default_rng(0).integers(0, 9, (50, 40)))
    name, *rest = options
    source = name if name.startswith("toy:") else str(tmp_path / name)
    assert main(["density", source, *rest, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_artefact_of_another_family_size_is_refused(saved: Path, tmp_path: Path) -> None:
    DensityModel.from_pretrained(saved / "model").save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace('"family": "maf"', '"family": "mfa"'))
    with pytest.raises(ArtefactError, match=r"config\.json: config: family is 'mfa'"):
        DensityModel.from_pretrained(tmp_path)
