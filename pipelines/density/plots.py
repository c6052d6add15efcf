"""Pictures of two-dimensional densities."""

import io
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from pipelines.density.fit import log_prob
from pipelines.density.model import DensityModel
from storage.atomic import write_file

GRID = 160
NUM_POINTS = 2000
MARGIN = 0.05


def picture_2d(model: DensityModel, x: Tensor, path: Path, seed: int = 0) -> None:
    """Draw a two-dimensional density, its samples, and the latents of data.

    Args:
        model: a model of two features.
        x: data, shape (N, 2); the picture covers its range.
        path: PNG file to write.
        seed: seed of the samples.
    """
    figure = Figure(figsize=(12, 4), layout="constrained")
    density, samples, latent = figure.subplots(1, 3)
    extent = extent_of(x)
    show_density(density, model, extent)
    density.set_title("density")
    points = x[:NUM_POINTS]
    drawn = model.sample(len(points), torch.Generator(model.mean.device).manual_seed(seed)).cpu()
    for rows, colour, label in ((points, "0.6", "data"), (drawn, "C1", "samples")):
        samples.scatter(rows[:, 0], rows[:, 1], s=2, c=colour, label=label, linewidths=0)
    samples.set(title="data and samples", xlim=extent[:2], ylim=extent[2:])
    samples.legend(loc="upper right", markerscale=4)
    with torch.no_grad():
        z = model.encode(points.to(model.mean.device)).cpu()
    latent.scatter(z[:, 0], z[:, 1], s=2, c="C0", linewidths=0)
    latent.set(title="latents of the data", xlim=(-4, 4), ylim=(-4, 4), aspect="equal")
    save_figure(figure, path)


def extent_of(x: Tensor) -> tuple[float, float, float, float]:
    """Return the range of two columns with a margin: left, right, bottom, top."""
    low, high = x.amin(0), x.amax(0)
    margin = MARGIN * (high - low)
    (left, bottom), (right, top) = (low - margin).tolist(), (high + margin).tolist()
    return left, right, bottom, top


def show_density(
    axes: Axes, model: DensityModel, extent: tuple[float, float, float, float]
) -> None:
    """Draw a model's density over a rectangle, linearly from 0 to its 99.5th percentile."""
    axes.imshow(
        density_grid(model, extent), origin="lower", extent=extent, aspect="auto", cmap="magma"
    )


def density_grid(
    model: DensityModel, extent: tuple[float, float, float, float]
) -> NDArray[np.float64]:
    """Evaluate a density on a grid over a rectangle.

    Returns:
        densities, shape (GRID, GRID), rows along the second feature. They are clipped at their
        99.5th percentile, so that one peak does not hide the rest.
    """
    left, right, bottom, top = extent
    horizontal = torch.linspace(left, right, GRID, dtype=torch.float64)
    vertical = torch.linspace(bottom, top, GRID, dtype=torch.float64)
    points = torch.cartesian_prod(vertical, horizontal).flip(1)
    density = log_prob(model, points).exp().view(GRID, GRID).numpy()
    return np.minimum(density, np.quantile(density, 0.995))


def save_figure(figure: Figure, path: Path, dots_per_inch: int = 100) -> None:
    """Write a figure as a PNG file, whole or not at all."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dots_per_inch)
    write_file(path, buffer.getvalue())
