"""A picture of every family fitted to every toy: `python -m pipelines.density.gallery`."""

import sys
from pathlib import Path

from jsonargparse import auto_cli
from matplotlib.figure import Figure
from tqdm import tqdm

from data import TOYS, read_table
from flows.families import FAMILIES, family_config
from pipelines.density.estimate import estimate
from pipelines.density.fit import FitConfig, log_prob
from pipelines.density.model import DensityModel
from pipelines.density.plots import extent_of, save_figure, show_density
from pipelines.density.rows import Rows

NUM_POINTS = 3000
LEARNING_RATE = 5e-3  # large, for few steps


def gallery(
    out: Path = Path("exp/density/toys"),
    picture: Path = Path("docs/results/density/toys.png"),
    max_epochs: int = 60,
    seed: int = 0,
) -> None:
    """Fit every family to every toy and draw the densities: toys in rows, families in columns.

    Args:
        out: folder of the fitted models; models that exist are not fitted again.
        picture: PNG file to write.
        max_epochs: largest number of epochs of each fit.
        seed: seed of toys and fits.
    """
    figure = Figure(figsize=(2.0 * (len(FAMILIES) + 1), 2.1 * len(TOYS)), layout="constrained")
    grid = figure.subplots(len(TOYS), len(FAMILIES) + 1, squeeze=False)
    for axes_of_toy, toy in zip(grid, TOYS, strict=True):
        table = read_table(f"toy:{toy}", seed=seed)
        rows = Rows.from_table(table, seed=seed)
        extent = extent_of(rows.test)
        points = rows.train[:NUM_POINTS]
        axes_of_toy[0].scatter(points[:, 0], points[:, 1], s=0.5, c="black", linewidths=0)
        axes_of_toy[0].set(xlim=extent[:2], ylim=extent[2:], ylabel=toy)
        for axes, family in zip(axes_of_toy[1:], FAMILIES, strict=True):
            folder = out / f"{toy}-{family}"
            if not (folder / "result.json").exists():
                tqdm.write(f"{toy}: {family}")
                config = FitConfig(
                    max_epochs=max_epochs, batch_size=256, learning_rate=LEARNING_RATE, seed=seed
                )
                estimate(table, rows, family_config(family, 2), config, folder)
            model = DensityModel.from_pretrained(folder)
            show_density(axes, model, extent)
            nats = float(log_prob(model, rows.test).mean())
            axes.set_xlabel(f"{nats:.2f} nats", fontsize=8)
    for axes, title in zip(grid[0], ("data", *FAMILIES), strict=True):
        axes.set_title(title, fontsize=10)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    save_figure(figure, picture, dots_per_inch=72)


if __name__ == "__main__":
    try:
        auto_cli(gallery)
    except ValueError as error:
        sys.exit(f"gallery: {error}")
