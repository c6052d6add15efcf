"""Coordinates of the page's small drawings, computed from numbers; the template draws them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.ticker import MaxNLocator

Point = tuple[float, float]

WIDTH, HEIGHT = 320, 150
LEFT, RIGHT, TOP, BOTTOM = 46, 18, 8, 22
OUTLINE_WIDTH, OUTLINE_HEIGHT = 600, 40
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A mark on an axis: its position, in units of the drawing, and its label."""

    position: float
    label: str


@dataclass(frozen=True, kw_only=True)
class LineChart:
    """Curves over a common axis.

    Args:
        title: name of the quantity.
        paths: SVG path data by name of the curve.
        x_ticks: marks along the bottom.
        y_ticks: marks along the left.
    """

    title: str
    paths: dict[str, str]
    x_ticks: list[Tick]
    y_ticks: list[Tick]


def line_chart(title: str, series: Mapping[str, Sequence[Point]]) -> LineChart:
    """Scale curves to a common drawing of WIDTH by HEIGHT.

    The first tenth of a training often lies far above the rest. The vertical axis fits the rest,
    and points beyond the axis are drawn at its edge.

    Args:
        title: name of the quantity.
        series: points (x, y) by name, x rising; points that are not finite are left out.
    """
    kept = {
        name: [(x, y) for x, y in points if math.isfinite(y)] for name, points in series.items()
    }
    kept = {name: points for name, points in kept.items() if points}
    last = max((points[-1][0] for points in kept.values()), default=1.0) or 1.0
    settled = [y for points in kept.values() for x, y in points if x >= last / 10]
    x_range = (0.0, last)
    y_range = _padded(min(settled, default=0.0), max(settled, default=1.0))
    return LineChart(
        title=title,
        paths={
            name: _path([(_across(x, x_range), _up(y, y_range)) for x, y in points])
            for name, points in kept.items()
        },
        x_ticks=[
            Tick(position=_across(x, x_range), label=f"{x:,.0f}")
            for x in _tick_values(x_range, 4, integer=True)
        ],
        y_ticks=[
            Tick(position=_up(y, y_range), label=f"{y:.4g}".replace("-", MINUS))
            for y in _tick_values(y_range, 3)
        ],
    )


def outline(waveform: npt.NDArray[np.float32], num_samples: int, peak: float) -> str:
    """Draw a waveform's envelope as one closed shape.

    Args:
        waveform: shape (T,).
        num_samples: length of the whole axis; a shorter waveform ends before the axis does.
        peak: amplitude that fills the height.
    Returns:
        SVG path data within OUTLINE_WIDTH by OUTLINE_HEIGHT.
    """
    columns = max(1, round(OUTLINE_WIDTH / 2 * len(waveform) / num_samples))
    edges = np.linspace(0, len(waveform), columns + 1).astype(int)
    middle, half = OUTLINE_HEIGHT / 2, OUTLINE_HEIGHT / 2 - 0.5
    above, below = [], []
    for i in range(columns):
        piece = waveform[edges[i] : max(edges[i + 1], edges[i] + 1)]
        high, low = (np.clip(v / peak, -1, 1) for v in (piece.max(), piece.min()))
        x = (i + 0.5) / columns * OUTLINE_WIDTH * len(waveform) / num_samples
        # The shape is at least a hairline thick, so that silence is visible.
        above.append((x, middle - half * float(high) - 0.3))
        below.append((x, middle - half * float(low) + 0.3))
    return _path([*above, *reversed(below)]) + "Z"


def positions(intervals: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Place means and intervals on a common axis, in per cent of its length.

    Args:
        intervals: `mean`, `low` and `high` by system.
    """
    low = min(found["low"] for found in intervals.values())
    high = max(found["high"] for found in intervals.values())
    low, high = _padded(low, high)
    return {
        system: {
            name: round(100 * (found[name] - low) / (high - low), 2)
            for name in ("mean", "low", "high")
        }
        for system, found in intervals.items()
    }


def log_lengths(rates: Sequence[float]) -> list[float]:
    """Return lengths of bars on a logarithmic axis, in per cent of the longest.

    The axis begins a factor of 2 below the least rate, and at 0.5 or less.

    Args:
        rates: positive numbers.
    """
    if not rates:
        return []
    least = min(0.5, min(rates) / 2)
    longest = math.log(max(rates) / least)
    return [round(100 * math.log(rate / least) / longest, 2) for rate in rates]


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _padded(low: float, high: float) -> tuple[float, float]:
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
    return low - margin, high + margin


def _across(x: float, limits: tuple[float, float]) -> float:
    share = (x - limits[0]) / (limits[1] - limits[0])
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _up(y: float, limits: tuple[float, float]) -> float:
    share = min(1.0, max(0.0, (y - limits[0]) / (limits[1] - limits[0])))
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _tick_values(limits: tuple[float, float], count: int, integer: bool = False) -> list[float]:
    values = MaxNLocator(count, integer=integer).tick_values(*limits)
    return [float(value) for value in values if limits[0] <= value <= limits[1]]
