"""Prepared data and models, loaded for the commands."""

import re
import subprocess
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data import (
    NO_PITCH,
    Manifest,
    MelConfig,
    MelStatistics,
    PitchConfig,
    Split,
    UtteranceSet,
    dither,
    speakers_of,
)
from dsp.filters.mel_equaliser import LOW, MelEqualiser
from flows.model_folder import CONFIG_FILE, ArtefactError, model_folder
from flows.pretrained import Pretrained, read_description
from pipelines.heldout import Utterance
from pipelines.ranks import local_rank, rank
from pipelines.recipe import Recipe
from storage.configuration import decode, from_dict
from student import Student
from teacher import Teacher

MODELS: dict[str, type[Pretrained]] = {"teacher": Teacher, "student": Student}


def speakers_in(recipe: Recipe, manifest: Manifest) -> tuple[str, ...]:
    """List the speakers that the recipe's models know: those of the training split, or none."""
    if not recipe.speakers:
        return ()
    return speakers_of(utterance.name for utterance in manifest.utterances("train"))


def speakers_known(model: Teacher | Student, folder: Path) -> tuple[str, ...]:
    """Read the speakers that a model knows.

    Raises:
        ArtefactError: if their number is not the model's number of speakers.
    """
    try:
        speakers = decode(tuple[str, ...], model.metadata.get("speakers", []), "metadata.speakers")
        if len(speakers) != model.config.num_speakers:
            raise ValueError(
                f"metadata.speakers has {len(speakers)} names, expected {model.config.num_speakers}"
            )
    except ValueError as error:
        raise ArtefactError(f"{folder / CONFIG_FILE}: {error}") from error
    return speakers


def provenance(recipe: Recipe, manifest: Manifest) -> dict[str, Any]:
    """Describe the origin of a model; the description is stored with the model."""
    versions = {name: metadata.version(name) for name in ("torch", "numpy", "librosa")}
    return {
        "mel": recipe.to_dict()["data"]["mel"],  # type: ignore[index]
        "pitch": recipe.to_dict()["data"]["pitch"],  # type: ignore[index]
        "speakers": list(speakers_in(recipe, manifest)),
        "recipe": recipe.to_dict(),
        "corpus_checksum": manifest.contents.checksum,
        "versions": versions,
        "commit": commit(),
    }


def load_model(folder: Path, device: str | torch.device = "cpu") -> Teacher | Student:
    """Load the teacher or the student in a folder.

    Args:
        folder: a model's folder, or the name of a pretrained model.
        device: device of the weights.
    Raises:
        ArtefactError: if the folder holds no teacher and no student.
    """
    folder = model_folder(folder)
    kind = read_description(folder)["kind"]
    if kind not in MODELS:
        raise ArtefactError(
            f"{folder / CONFIG_FILE}: kind is {kind!r}, expected one of {', '.join(MODELS)}"
        )
    model = MODELS[kind].from_pretrained(folder, device)
    assert isinstance(model, Teacher | Student)
    return model


def mel_of(model: Pretrained, folder: Path) -> MelConfig:
    """Read the mel convention of a model's training."""
    try:
        return from_dict(MelConfig, model.metadata.get("mel"), "metadata.mel")
    except ValueError as error:
        raise ArtefactError(f"{folder / CONFIG_FILE}: {error}") from error


def equaliser_of(model: Teacher | Student, mel: MelConfig, low: float = LOW) -> MelEqualiser | None:
    """Make the equaliser of what a model draws.

    Args:
        model: the model.
        mel: its mel convention.
        low: strength of the correction of low bands.
    Returns:
        the equaliser; None for an unconditional model, or if the convention's windows allow none.
    """
    if model.config.conditioning == "none" or not MelEqualiser.is_possible(mel):
        return None
    return MelEqualiser(mel, low)


def pitch_of(model: Teacher | Student, folder: Path) -> PitchConfig:
    """Read the pitch rows that a model is given; the kind is "none" for a model without pitch."""
    try:
        # Models of earlier versions have no entry.
        found = from_dict(PitchConfig, model.metadata.get("pitch", {}), "metadata.pitch")
        if bool(found.num_rows) != model.config.pitch:
            raise ValueError(
                f"metadata.pitch.kind is {found.kind!r}, but config.pitch is {model.config.pitch}"
            )
    except ValueError as error:
        raise ArtefactError(f"{folder / CONFIG_FILE}: {error}") from error
    return found


def statistics_of(model: Teacher | Student) -> MelStatistics | None:
    """Read the statistics of the log-mels that a model was trained on; None if it has none."""
    context = model.frame_context if isinstance(model, Student) else model.context
    if context.blind:
        return None
    mean, std = (x[: model.config.num_mels].cpu().numpy() for x in (context.mean, context.std))
    if not mean.any() and (std == 1).all():  # as before training
        return None
    return MelStatistics(mean, std)


def held_out(
    manifest: Manifest,
    split: Split,
    limit: int | None,
    device: torch.device | str,
    speakers: Sequence[str] = (),
    pitch: PitchConfig = NO_PITCH,
    every: int = 1,
) -> list[Utterance]:
    """Load whole utterances of a split, each with dither of its own seed.

    Args:
        manifest: manifest of the prepared data.
        split: "val" or "test".
        limit: largest number of utterances, the first by name; None for all.
        device: device of the utterances.
        speakers: the speakers that the models know; utterances of others are left out.
        pitch: the pitch rows that the models are given.
        every: keep one of every so many utterances, by name; applied before the limit.
    """
    utterances = _utterances(manifest, split, speakers, pitch)
    return _loaded(utterances, range(0, len(utterances), every)[:limit], device)


def _loaded(
    utterances: UtteranceSet, indices: Iterable[int], device: torch.device | str
) -> list[Utterance]:
    loaded = []
    for i in indices:
        waveform, mel = utterances.load(i)
        waveform = dither(waveform, np.random.default_rng(i))
        name = utterances.utterances[i].name
        loaded.append(Utterance(name, waveform[None].to(device), mel[None].to(device)))
    return loaded


def _utterances(
    manifest: Manifest, split: Split, speakers: Sequence[str], pitch: PitchConfig
) -> UtteranceSet:
    """Open a split, and say how many of its utterances are left out."""
    utterances = UtteranceSet(manifest, split, speakers, pitch)
    left_out = len(manifest.utterances(split)) - len(utterances)
    if left_out and rank() == 0:
        print(f"{left_out} {split} utterances are left out: the models do not know their speakers")
    return utterances


def for_validation(
    manifest: Manifest,
    count: int,
    device: torch.device | str,
    speakers: Sequence[str] = (),
    pitch: PitchConfig = NO_PITCH,
) -> list[Utterance]:
    """Load at most `count` utterances, spread over the validation split; see `held_out`."""
    utterances = _utterances(manifest, "val", speakers, pitch)
    number = min(count, len(utterances))
    return _loaded(utterances, (i * len(utterances) // number for i in range(number)), device)


def pick_device(name: str) -> torch.device:
    """Return a device; "auto" is CUDA if there is a GPU, else the CPU.

    Args:
        name: "auto", "cpu", "cuda" or "cuda:N".
    Raises:
        ValueError: if the name is none of these, or if there is no such device.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise ValueError(f"device {name!r} cannot be used here: expected auto, cpu, cuda or cuda:N")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{local_rank()}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {name!r} cannot be used here: {reason}") from error
    return device


def commit() -> str:
    """Return the commit of the program's source tree, or "unknown"."""
    root = Path(__file__).parents[1]
    try:
        # Installed, the program may lie in an environment inside somebody else's repository.
        if Path(_git("rev-parse", "--show-toplevel")).resolve() != root.resolve():
            return "unknown"
        return _git("describe", "--always", "--dirty")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*words: str) -> str:
    """Run git in the program's folder and return what it prints."""
    result = subprocess.run(
        ["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    return result.stdout.strip()
