"""The chart of an evaluation's result."""

import io
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.evaluation.measure import Measure
from pipelines.evaluation.table import LABELS, heading, measured

COLUMNS = 3
COLOURS = ("#4477aa", "#ee6677", "#228833", "#aa3377", "#ccbb44", "#66ccee")
"""Paul Tol's bright scheme, whose colours differ for colour-blind people, too."""


def evaluation_plot(result: dict[str, Any]) -> bytes:
    """Draw each measure's means with their intervals in its own panel.

    Args:
        result: the result of `run_evaluation`.
    Returns:
        a PNG file.
    """
    systems = result["systems"]
    # A measure that a single system has compares nothing.
    shared = [m for m in measured(systems) if sum(m.key in s for s in systems.values()) > 1]
    measures = shared or measured(systems)
    rows = -(-len(measures) // COLUMNS)
    with matplotlib.rc_context({"font.size": 8, "axes.titlesize": 8}):
        height = rows * (0.7 + 0.22 * len(systems)) + 0.3
        figure = Figure(figsize=(10, height), layout="constrained")
        grid = figure.subplots(rows, COLUMNS, squeeze=False)
        for axes in grid.flat:
            axes.set_visible(False)
        for axes, measure in zip(grid.flat, measures, strict=False):
            _draw(axes, measure, systems)
        figure.suptitle(
            f"{result['source']}, {result['num_utterances']} utterances: mean and "
            f"{result['confidence']:.0%} bootstrap interval",
            fontsize=9,
        )
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


def _draw(axes: Axes, measure: Measure, systems: dict[str, Any]) -> None:
    axes.set_visible(True)
    for row, means in enumerate(systems.values()):
        if measure.key not in means:
            continue
        found = means[measure.key]
        colour = COLOURS[row % len(COLOURS)]
        axes.plot([found["low"], found["high"]], [row, row], color=colour, linewidth=2)
        axes.plot(found["mean"], row, "o", color=colour, markersize=5)
    axes.set_title(heading(measure), loc="left")
    axes.set_yticks(range(len(systems)), [LABELS.get(name, name) for name in systems])
    axes.set_ylim(len(systems) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
