"""The evaluation of every system on every utterance, and the means over utterances."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from data import MelConfig, write_waveform
from pipelines.evaluation.bootstrap import CONFIDENCE, bootstrap_mean
from pipelines.evaluation.evaluated_models import Models
from pipelines.evaluation.measure import MEASURES, Measurer, Value
from pipelines.evaluation.recordings import Recordings
from pipelines.evaluation.systems import (
    GriffinLim,
    Recording,
    StudentSystem,
    System,
    TeacherSystem,
    World,
)
from pipelines.heldout import baseline_nll, bits_per_sample
from pipelines.workspace import equaliser_of

SystemName = Literal["recording", "griffin-lim", "world", "teacher", "student"]


def default_systems(models: Models) -> list[SystemName]:
    """List all systems that these models allow, for a user who names none."""
    teacher: list[SystemName] = [] if models.teacher is None else ["teacher"]
    return ["recording", "griffin-lim", "world", *teacher, "student"]


def make_systems(
    names: Sequence[SystemName],
    models: Models,
    mel: MelConfig,
    missing: Sequence[str],
    equalise: bool,
) -> dict[str, System]:
    """Build the systems, in a fixed order.

    Args:
        names: the systems; "student" stands for every student.
        models: teacher and students.
        mel: convention of the utterances.
        missing: packages that are not installed; "world" is left out without pyworld.
        equalise: filter what the models draw, see `dsp.filters.mel_equaliser`.
    Returns:
        systems by name.
    Raises:
        ValueError: if "teacher" is named without a teacher, or if no system is left.
    """
    systems: dict[str, System] = {}
    if "recording" in names:
        systems["recording"] = Recording()
    if "griffin-lim" in names:
        systems["griffin-lim"] = GriffinLim(mel)
    if "world" in names and "pyworld" not in missing:
        systems["world"] = World(mel.sample_rate)
    if "teacher" in names:
        if models.teacher is None:
            raise ValueError("systems has 'teacher', but no --teacher is given")
        equaliser = equaliser_of(models.teacher, mel) if equalise else None
        systems["teacher"] = TeacherSystem(models.teacher, equaliser)
    if "student" in names:
        for name, student in models.students.items():
            equaliser = equaliser_of(student, mel) if equalise else None
            systems[name] = StudentSystem(student, models.teacher, equaliser)
    if not systems:
        raise ValueError(
            f"systems is {', '.join(names)}: nothing is left that is installed or has its model"
        )
    return systems


def audio_file(audio: Path, system: str, utterance: str) -> Path:
    """Return the file of a system's waveform for an utterance."""
    return audio / system / f"{utterance}.wav"


def measure_utterance(
    systems: dict[str, System],
    recordings: Recordings,
    measurer: Measurer,
    i: int,
    *,
    seed: int = 0,
    audio: Path | None = None,
) -> dict[str, dict[str, Value]]:
    """Draw utterance i from every system and measure it.

    Args:
        systems: systems by name.
        recordings: the utterances.
        measurer: computes the measures.
        i: index of the utterance.
        seed: seed of noise and phases; utterance i is drawn with seed + i.
        audio: folder that gets `SYSTEM/UTTERANCE.wav`; None to write no audio.
    Returns:
        values of each system, by measure.
    """
    utterance = recordings.utterances[i]
    recording = Recording().draw(utterance, seed)
    values = {}
    for name, system in systems.items():
        drawn = system.draw(utterance, seed + i)
        values[name] = measurer.measure(drawn, recording, utterance, i)
        if audio is not None:
            path = audio_file(audio, name, utterance.name)
            write_waveform(path, drawn.waveform, recordings.mel.sample_rate)
    return values


def run_evaluation(
    systems: dict[str, System],
    recordings: Recordings,
    measurer: Measurer,
    *,
    seed: int = 0,
    audio: Path | None = None,
    measured: Iterable[tuple[int, dict[str, dict[str, Value]]]] | None = None,
) -> dict[str, Any]:
    """Draw every utterance from every system and measure the waveforms.

    Args:
        systems: systems by name.
        recordings: the utterances.
        measurer: computes the measures.
        seed: seed of noise, phases and bootstrap; utterance i is drawn with seed + i.
        audio: folder that gets `SYSTEM/UTTERANCE.wav`; None to write no audio.
        measured: number and values of every utterance in any order, if other processes measure.
    Returns:
        JSON values: a description of the data; `systems`, with mean and interval of each measure;
        `utterances`, with the values of every system; and with a teacher, `likelihood`.
    """
    mel, utterances = recordings.mel, recordings.utterances
    if measured is None:
        measure = partial(measure_utterance, systems, recordings, measurer, seed=seed, audio=audio)
        measured = ((i, measure(i)) for i in range(len(utterances)))
    bar = tqdm(measured, desc="evaluate", unit="utterance", total=len(utterances))
    by_utterance = [found for _, found in sorted(bar, key=itemgetter(0))]
    values = {name: [found[name] for found in by_utterance] for name in systems}
    rows: list[dict[str, Any]] = []
    for utterance, found in zip(utterances, by_utterance, strict=True):
        own = {name: {k: v.value for k, v in row.items()} for name, row in found.items()}
        seconds = utterance.waveform.numel() / mel.sample_rate
        rows.append({"name": utterance.name, "seconds": seconds, "systems": own})
    result: dict[str, Any] = {
        "source": recordings.source,
        "num_utterances": len(rows),
        "minutes": sum(row["seconds"] for row in rows) / 60,
        "sample_rate": mel.sample_rate,
        "seed": seed,
        "confidence": CONFIDENCE,
        "systems": {name: means_of(found, seed) for name, found in values.items()},
        "utterances": rows,
    }
    if measurer.teacher is not None and "recording" in systems:
        teacher_nats = result["systems"]["recording"]["nll_nats"]["mean"]
        result["likelihood"] = _likelihood(measurer, recordings, teacher_nats)
    return result


def means_of(values: Sequence[dict[str, Value]], seed: int) -> dict[str, dict[str, float]]:
    """Average each measure over the utterances that have it.

    Args:
        values: one dict for each utterance.
        seed: seed of the bootstrap.
    Returns:
        `mean`, `low`, `high` and `num` by measure, in the order of `MEASURES`.
    """
    means = {}
    for measure in MEASURES:
        found = [row[measure.key] for row in values if measure.key in row]
        if found:
            interval = bootstrap_mean([v.value for v in found], [v.weight for v in found], seed)
            means[measure.key] = asdict(interval)
    return means


def _likelihood(
    measurer: Measurer, recordings: Recordings, teacher_nats: float
) -> dict[str, dict[str, float]]:
    """Return `nats` and `bits` per sample of the recordings, each by model: teacher, baselines.

    The baselines are Gaussians of frames as long as the mel's window, and as the mel's hop.
    """
    assert measurer.teacher is not None
    floor, mel = measurer.teacher.smallest_log_scale, recordings.mel
    nats = {"teacher": teacher_nats}
    for length in (mel.win_length, mel.hop_length):
        baselines = baseline_nll(recordings.utterances, length, floor)
        nats |= {f"{name}_{length}": value for name, value in baselines.items()}
    return {"nats": nats, "bits": {name: bits_per_sample(value) for name, value in nats.items()}}
