"""An evaluation's result as Markdown."""

from typing import Any

from pipelines.evaluation.measure import MEASURES, Measure

LABELS = {"griffin-lim": "Griffin-Lim", "world": "WORLD"}
"""Systems that are written otherwise than their folders; the rest are shown as they are named."""
DIRECTIONS = {"lower": "lower is better", "higher": "higher is better", "one": "1 is best"}


def evaluation_table(result: dict[str, Any]) -> str:
    """Format an evaluation's result: likelihood if there is one, then systems side by side.

    Args:
        result: as `run_evaluation` returns it.
    """
    sections = [
        f"{result['source']}, {result['num_utterances']} utterances, "
        f"{result['minutes']:.1f} minutes"
    ]
    if "likelihood" in result:
        sections.append(likelihood_table(result["likelihood"]))
    sections += [
        systems_table(result["systems"]),
        f"Means over utterances, in brackets their {result['confidence']:.0%} bootstrap interval. "
        "Every system is compared as a 16-bit file; docs/evaluation.md says how.",
    ]
    return "\n\n".join(sections)


def likelihood_table(likelihood: dict[str, dict[str, float]]) -> str:
    """Format the teacher's likelihood of the recordings beside the baselines'."""
    lines = ["| model | nats per sample | bits per sample |", "|---|---:|---:|"]
    for name, nats in likelihood["nats"].items():
        described = describe_likelihood(name)
        lines.append(f"| {described} | {nats:.3f} | {likelihood['bits'][name]:.2f} |")
    return "\n".join(lines)


def describe_likelihood(name: str) -> str:
    """Say what a baseline, named KIND_FRAMELENGTH, is; other names are left as they are."""
    kind, _, length = name.rpartition("_")
    described = {
        "frame_energy": "zero-mean Gaussian with each frame's own energy",
        "oracle_lpc": "oracle linear predictor, order 24, fitted on the frame it predicts",
    }
    return f"{described[kind]}, frames of {length}" if kind in described else name


def systems_table(systems: dict[str, dict[str, dict[str, float]]]) -> str:
    """Format means and intervals: measures down, systems across."""
    lines = [
        f"| measure | {' | '.join(LABELS.get(name, name) for name in systems)} |",
        f"|---|{'---:|' * len(systems)}",
    ]
    for measure in measured(systems):
        cells = [
            cell(measure, means[measure.key]) if measure.key in means else ""
            for means in systems.values()
        ]
        lines.append(f"| {heading(measure)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def measured(systems: dict[str, dict[str, dict[str, float]]]) -> list[Measure]:
    """List the measures that at least one system has."""
    return [m for m in MEASURES if any(m.key in means for means in systems.values())]


def heading(measure: Measure) -> str:
    """Name a measure with its unit and direction."""
    notes = [measure.unit, DIRECTIONS.get(measure.better, "")]
    shown = ", ".join(note for note in notes if note)
    return f"{measure.label} ({shown})" if shown else measure.label


def cell(measure: Measure, interval: dict[str, float]) -> str:
    """Format a mean with its interval, to the measure's digits."""
    digits = measure.digits
    # Adding 0 turns -0 into 0.
    mean, low, high = (
        f"{round(interval[name], digits) + 0.0:.{digits}f}" for name in ("mean", "low", "high")
    )
    return mean if low == high else f"{mean} [{low}, {high}]"
