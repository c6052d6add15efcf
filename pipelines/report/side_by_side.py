"""Several runs on one page: shared systems appear once, others with the name of their run."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pipelines.report.content import (
    Content,
    ListenedUtterance,
    ReportError,
    Track,
    in_order,
)

SHARED = ("recording", "griffin-lim", "world")
"""Systems whose waveforms are equal in all runs, if the runs have equal utterances."""
UNDER_A_TEACHER = ("nll_nats", "kl_nats")
"""Measures under a run's own teacher. Values under different teachers cannot be compared."""

T = TypeVar("T")


def side_by_side(runs: Sequence[Content]) -> Content:
    """Put several runs' results together.

    Runs of one corpus and one mel convention share the recordings, Griffin-Lim and WORLD, and an
    utterance's player switches between the systems of all runs. Other runs are shown one after the
    other.

    Args:
        runs: contents of the runs, at least one.
    Raises:
        ReportError: if the sample rates of the runs differ.
    """
    if len(runs) == 1:
        return runs[0]
    rates = sorted({run.mel.sample_rate for run in runs})
    if len(rates) > 1:
        raise ReportError(f"the runs are at {rates} Hz, expected one sample rate")
    names = _distinct([run.title for run in runs])
    together = _is_one_corpus(runs)

    def called(system: str, run: str) -> str:
        return system if together and system in SHARED else f"{system} ({run})"

    def gathered(values: Callable[[Content], Mapping[str, T]]) -> dict[str, T]:
        pairs: dict[str, T] = {}
        for name, run in zip(names, runs, strict=True):
            for system, value in values(run).items():
                pairs.setdefault(called(system, name), value)
        return {system: pairs[system] for system in in_order(pairs)}

    def by_run(values: Callable[[Content], Mapping[str, T]]) -> dict[str, T]:
        pairs = zip(names, runs, strict=True)
        return {name: value for name, run in pairs for value in values(run).values()}

    renamed = [
        ListenedUtterance(
            name=utterance.name if together else f"{name}: {utterance.name}",
            tracks=[
                Track(
                    system=called(track.system, name),
                    waveform=track.waveform,
                    measures=track.measures,
                )
                for track in utterance.tracks
            ],
        )
        for name, run in zip(names, runs, strict=True)
        for utterance in run.utterances
    ]
    evaluated = [run.evaluation for run in runs if run.evaluation]
    systems = gathered(lambda run: (run.evaluation or {"systems": {}})["systems"])
    return Content(
        title=" beside ".join(names),
        mel=runs[0].mel,
        utterances=_merged(renamed),
        evaluation=_evaluation(evaluated, systems, together) if evaluated else None,
        benchmarks=by_run(lambda run: run.benchmarks),
        metrics=gathered(lambda run: run.metrics),
        models=gathered(lambda run: run.models),
        recipes=by_run(lambda run: run.recipes),
        lines=gathered(lambda run: run.lines),
        notice=(
            "Likelihood and divergence are under each run's own teacher."
            if together
            else "The runs have different utterances: compare each with its own recordings."
        ),
    )


def _is_one_corpus(runs: Sequence[Content]) -> bool:
    """Tell whether all runs have one corpus and mel, and so `SHARED` systems draw the same."""
    checksums = {
        model["metadata"].get("corpus_checksum") for run in runs for model in run.models.values()
    }
    is_one = len(checksums) == 1 and len({run.mel for run in runs}) == 1
    return is_one and len({_evaluated(run) for run in runs if run.evaluation}) <= 1


def _evaluated(run: Content) -> tuple[Any, ...]:
    found = run.evaluation or {}
    return found.get("max_seconds"), *(u["name"] for u in found.get("utterances", []))


def _evaluation(
    evaluated: Sequence[dict[str, Any]], systems: Mapping[str, Any], together: bool
) -> dict[str, Any]:
    first = evaluated[0]
    counted = [first] if together else evaluated
    kept = {
        system: {
            key: value
            for key, value in means.items()
            if system not in SHARED or key not in UNDER_A_TEACHER
        }
        for system, means in systems.items()
    }
    missing = [package for found in evaluated for package in found["left_out"]["packages"]]
    return {
        "systems": kept,
        "num_utterances": sum(found["num_utterances"] for found in counted),
        "minutes": sum(found["minutes"] for found in counted),
        "source": ", ".join(dict.fromkeys(found["source"] for found in counted)),
        "confidence": first["confidence"],
        "left_out": {"packages": list(dict.fromkeys(missing))},
    }


def _merged(utterances: Sequence[ListenedUtterance]) -> list[ListenedUtterance]:
    """Merge utterances of equal names; of several tracks of a system, keep the first."""
    tracks: dict[str, dict[str, Track]] = {}
    for utterance in utterances:
        found = tracks.setdefault(utterance.name, {})
        for track in utterance.tracks:
            found.setdefault(track.system, track)
    return [
        ListenedUtterance(name=name, tracks=[found[system] for system in in_order(found)])
        for name, found in tracks.items()
    ]


def _distinct(titles: Sequence[str]) -> list[str]:
    """Add a number to each title, unless all titles differ."""
    if len(set(titles)) == len(titles):
        return list(titles)
    return [f"{title} {i + 1}" for i, title in enumerate(titles)]
