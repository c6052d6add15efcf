"""Two-dimensional densities of known shape, which show what a flow has learned."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def moons(num_rows: int, rng: np.random.Generator) -> Array:
    """Two interleaved half circles of radius 1, Gaussian noise of standard deviation 0.1."""
    angle = np.pi * rng.random(num_rows)
    upper = np.stack([np.cos(angle), np.sin(angle)], 1)
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], 1)
    points = np.where(rng.random((num_rows, 1)) < 0.5, upper, lower)
    return points + 0.1 * rng.standard_normal((num_rows, 2))


def rings(num_rows: int, rng: np.random.Generator) -> Array:
    """Circles of radii 1, 2, 3, equally likely; Gaussian noise of standard deviation 0.1."""
    radius = rng.integers(1, 4, num_rows)
    angle = 2 * np.pi * rng.random(num_rows)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return points + 0.1 * rng.standard_normal((num_rows, 2))


def checkerboard(num_rows: int, rng: np.random.Generator) -> Array:
    """Uniform on the eight dark unit squares of a 4 x 4 board around the origin.

    The density is 1/8 on the dark squares: no model exceeds -log 8 = -2.079 nats on average.
    """
    column = rng.integers(0, 4, num_rows)
    row = 2 * rng.integers(0, 2, num_rows) + column % 2
    return np.stack([column, row], 1) - 2 + rng.random((num_rows, 2))


def spirals(num_rows: int, rng: np.random.Generator) -> Array:
    """Two Archimedean spiral arms of one and a half turns.

    The square of the angle is uniform, and the radius grows from 0 to 3. Gaussian noise of standard
    deviation 0.1 is added.
    """
    angle = 3 * np.pi * np.sqrt(rng.random(num_rows))
    arm = angle[:, None] / np.pi * np.stack([np.cos(angle), np.sin(angle)], 1)
    points = np.where(rng.random((num_rows, 1)) < 0.5, arm, -arm)
    return points + 0.1 * rng.standard_normal((num_rows, 2))


TOYS: dict[str, Callable[[int, np.random.Generator], Array]] = {
    "moons": moons,
    "rings": rings,
    "checkerboard": checkerboard,
    "spirals": spirals,
}
"""Samplers by name. Each takes the number of rows N and a random generator, and returns (N, 2)."""
