"""The benchmark in one picture: the fastest teacher, student, Vocos and Griffin-Lim."""

import io
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

FAMILIES = {
    "teacher": "teacher",
    "student": "student",
    "vocos": "Vocos, published size",
    "griffin-lim": "Griffin-Lim",
}
"""The kinds of vocoder that are compared. A key is the beginning of the names of the kind's
systems, and the value is the kind's label."""


def at_their_best(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Choose the fastest system of each kind among those that draw one utterance.

    Args:
        rows: a benchmark's `rows`.
    Returns:
        a row for each kind that was timed: the label `kind`, the benchmark's name `system`, and
        `real_time_factor`, seconds of audio drawn in one second.
    """
    alone = [row for row in rows if row.get("batch", 1) == 1]
    found = []
    for begins, label in FAMILIES.items():
        same_kind = [row for row in alone if row["system"].split(",")[0] == begins]
        if same_kind:
            best = max(same_kind, key=lambda row: float(row["real_time_factor"]))
            how = {key: best[key] for key in ("system", "real_time_factor")}
            found.append({"kind": label, **how})
    return found


def headline_table(best: Sequence[dict[str, Any]]) -> str:
    """Format the rows of `at_their_best` as a Markdown table."""
    lines = ["| one utterance, at its best | × real time | system |", "|---|---:|---|"]
    lines += [
        f"| {row['kind']} | {row['real_time_factor']:.3g} | {row['system']} |" for row in best
    ]
    return "\n".join(lines)


def headline_picture(best: Sequence[dict[str, Any]], said: str) -> bytes:
    """Draw the rows of `at_their_best` as bars on a logarithmic axis, as a PNG.

    Args:
        best: the rows; at least one.
        said: description of the machine, for the title of the picture.
    """
    figure = Figure(figsize=(6.4, 0.8 + 0.45 * len(best)), layout="constrained")
    axes = figure.subplots()
    rates = [row["real_time_factor"] for row in best]
    bars = axes.barh([row["kind"] for row in best], rates, color="C0", log=True)
    axes.bar_label(bars, [f"{rate:.3g}" for rate in rates], padding=3)
    axes.axvline(1.0, color="k", linestyle=":")
    axes.set_xlim(min(0.5, *rates) / 2, 3 * max(1.0, *rates))
    axes.invert_yaxis()
    axes.set_xlabel("seconds of audio drawn in a second (dotted: real time)")
    axes.set_title(said, fontsize="small")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120)
    return file.getvalue()
