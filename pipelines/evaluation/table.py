"""The Markdown tables of an evaluation's result."""

from typing import Any

from pipelines.evaluation.measure import MEASURES, Measure

LABELS = {"griffin-lim": "Griffin-Lim", "world": "WORLD"}
"""Names of systems for people; other systems are shown by their folders' names."""
DIRECTIONS = {"lower": "lower is better", "higher": "higher is better", "one": "1 is best"}


def evaluation_table(result: dict[str, Any]) -> str:
    """Format an evaluation's result: the likelihood, if there is any, then the systems.

    Args:
        result: the result of `run_evaluation`.
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
    """Format the likelihoods of the recordings under the teacher and the baselines.

    Args:
        likelihood: "nats" and "bits" per sample, each by the name of the model.
    Returns:
        a Markdown table.
    """
    lines = ["| model | nats per sample | bits per sample |", "|---|---:|---:|"]
    for name, nats in likelihood["nats"].items():
        described = describe_likelihood(name)
        lines.append(f"| {described} | {nats:.3f} | {likelihood['bits'][name]:.2f} |")
    return "\n".join(lines)


def describe_likelihood(name: str) -> str:
    """Describe a baseline named KIND_FRAMELENGTH; other names are returned unchanged."""
    kind, _, length = name.rpartition("_")
    described = {
        "frame_energy": "zero-mean Gaussian with each frame's own energy",
        "oracle_lpc": "oracle linear predictor, order 24, fitted on the frame it predicts",
    }
    return f"{described[kind]}, frames of {length}" if kind in described else name


def systems_table(systems: dict[str, dict[str, dict[str, float]]]) -> str:
    """Format means and intervals: a row for each measure, a column for each system."""
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
    """List the measures that one system or more has."""
    return [m for m in MEASURES if any(m.key in means for means in systems.values())]


def heading(measure: Measure) -> str:
    """Return a measure's name with its unit and direction."""
    notes = [measure.unit, DIRECTIONS.get(measure.better, "")]
    shown = ", ".join(note for note in notes if note)
    return f"{measure.label} ({shown})" if shown else measure.label


def cell(measure: Measure, interval: dict[str, float]) -> str:
    """Format a mean and its interval with the measure's number of digits."""
    digits = measure.digits
    # Adding 0 turns -0 into 0.
    mean, low, high = (
        f"{round(interval[name], digits) + 0.0:.{digits}f}" for name in ("mean", "low", "high")
    )
    return mean if low == high else f"{mean} [{low}, {high}]"
