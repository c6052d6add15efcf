"""The commands `train-teacher` and `distill`: train a model, or resume its training."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from data import Manifest, SegmentSampler
from distill import initialise_context
from flows import folded_state, load_folded_state
from flows.model_folder import model_folder
from flows.pretrained import read_description
from pipelines.ranks import rank, world_size
from pipelines.recipe import Recipe, TrainingConfig
from pipelines.training.loop import train
from pipelines.training.parallel.launch import run_in_processes
from pipelines.training.parallel.number import number_of_processes
from pipelines.training.state import differences
from pipelines.training.tasks import StudentTask, TeacherTask
from pipelines.workspace import (
    for_validation,
    mel_of,
    pick_device,
    pitch_of,
    provenance,
    speakers_in,
    speakers_known,
)
from student import Envelope, Student
from teacher import Teacher

DATA_SETTINGS = ("mels", "min_seconds", "val_percent", "test_percent")
"""Settings of a recipe's data that only `prepare` reads."""


def train_teacher(
    recipe: Recipe,
    dump: Path | None = None,
    initial: Path | None = None,
    exp: Path | None = None,
    device: str = "auto",
    processes: int | Literal["auto"] = 1,
) -> None:
    """Train a teacher by maximum likelihood; resumes an interrupted run.

    Args:
        recipe: bundled name or YAML file; single values as --recipe.KEY VALUE.
        dump: prepared data; default: dump/NAME.
        initial: folder or name of a trained teacher to start from; default: the recipe's
            teacher_training.initial, or random weights.
        exp: folder of the results; the model goes to its folder `teacher`; default: exp/NAME.
        device: "auto", "cpu" or "cuda".
        processes: number of processes on a CPU that share each batch, on one thread each; it
            divides the batch size. "auto" for as many as there are processors, if the run is worth
            it.
    """
    dump, exp = dump or _dump_of(recipe), exp or _exp_of(recipe)
    config = recipe.teacher_training
    place = pick_device(device)
    count = number_of_processes(processes, config, recipe.data.mel, place.type)
    if count > 1:
        given = {"recipe": recipe, "dump": dump, "initial": initial, "exp": exp}
        run_in_processes(train_teacher, count, **given, device=place.type)
        return
    manifest = _manifest(recipe, dump)
    torch.manual_seed(recipe.seed)
    speakers = speakers_in(recipe, manifest)
    model = Teacher(dataclasses.replace(recipe.teacher, **_given(recipe, speakers)))
    _set_statistics(model, manifest)
    initial = _initial(initial, config)
    if initial is not None:
        _load_weights(initial, model)
    num_validation, pitch = config.validation_utterances, recipe.data.pitch
    validation = for_validation(manifest, num_validation, place, speakers, pitch)
    task = TeacherTask(model, validation, recipe.data.mel, recipe.seed)
    train(
        task,
        _sampler(recipe, manifest, config),
        config,
        exp / "teacher",
        _origin(recipe, manifest, initial=initial),
        device=place.type,
        sample_rate=recipe.data.mel.sample_rate,
    )
    if rank() == 0:
        print(f"teacher: {exp / 'teacher'}")


def distill(
    recipe: Recipe,
    dump: Path | None = None,
    teacher: Path | None = None,
    initial: Path | None = None,
    exp: Path | None = None,
    device: str = "auto",
    processes: int | Literal["auto"] = 1,
) -> None:
    """Distil a student from a teacher; resumes an interrupted run.

    Args:
        recipe: bundled name or YAML file; single values as --recipe.KEY VALUE.
        dump: prepared data; default: dump/NAME.
        teacher: folder or name of the trained teacher; default: EXP/teacher.
        initial: folder or name of a trained student to start from; default: the recipe's
            student_training.initial, or random weights.
        exp: folder of the results; the model goes to its folder `student`; default: exp/NAME.
        device: "auto", "cpu" or "cuda".
        processes: number of processes on a CPU that share each batch, on one thread each; it
            divides the batch size. "auto" for as many as there are processors, if the run is worth
            it.
    """
    dump, exp = dump or _dump_of(recipe), exp or _exp_of(recipe)
    if teacher is None and not (exp / "teacher").exists():  # else a hub would be asked for it
        raise ValueError(
            f"{exp / 'teacher'}: no such folder, expected what train-teacher makes; or name a "
            "teacher by --teacher"
        )
    config = recipe.student_training
    place = pick_device(device)
    count = number_of_processes(processes, config, recipe.data.mel, place.type)
    if count > 1:
        given = {"recipe": recipe, "dump": dump, "initial": initial, "exp": exp}
        run_in_processes(distill, count, **given, teacher=teacher, device=place.type)
        return
    manifest = _manifest(recipe, dump)
    teacher, initial = teacher or exp / "teacher", _initial(initial, config)
    train(
        student_task(recipe, dump, teacher, place, initial),
        _sampler(recipe, manifest, config),
        config,
        exp / "student",
        _origin(recipe, manifest, teacher=teacher, initial=initial),
        device=place.type,
        sample_rate=recipe.data.mel.sample_rate,
    )
    if rank() == 0:
        print(f"student: {exp / 'student'}")


def student_task(
    recipe: Recipe,
    dump: Path,
    teacher: Path,
    place: torch.device,
    initial: Path | None = None,
) -> StudentTask:
    """Build a student and its training task.

    Args:
        recipe: sizes, objective and seed.
        dump: prepared data.
        teacher: folder of the trained teacher.
        place: device of the teacher and the held-out utterances.
        initial: folder of a trained student to start from; None for the recipe's
            student_training.initial, or random weights.
    Raises:
        ValueError: if the teacher, the initial student or the data do not fit the recipe.
    """
    manifest = _manifest(recipe, dump)
    teacher_model = Teacher.from_pretrained(model_folder(teacher), place)
    mel_of(teacher_model, teacher).check_same(manifest.mel, str(dump))
    torch.manual_seed(recipe.seed)
    speakers = speakers_in(recipe, manifest)
    known = speakers_known(teacher_model, teacher)
    if known != speakers:
        raise ValueError(f"{teacher}: knows {_named(known)}, but {dump} has {_named(speakers)}")
    recipe.data.pitch.check_same(pitch_of(teacher_model, teacher), str(teacher))
    model = Student(dataclasses.replace(recipe.student, **_given(recipe, speakers)))
    _set_statistics(model, manifest)
    initial = _initial(initial, recipe.student_training)
    if initial is not None:
        _load_weights(initial, model)
    elif recipe.distillation.initialise_context and not initialise_context(model, teacher_model):
        print("the teacher's context network does not fit: the student's has random weights")
    count = recipe.student_training.validation_utterances
    return StudentTask(
        model,
        teacher_model,
        recipe.distillation,
        for_validation(manifest, count, place, speakers, recipe.data.pitch),
        recipe.data.mel,
        recipe.seed,
    )


def _initial(given: Path | None, config: TrainingConfig) -> Path | None:
    """Return the model to start from: the one given, else the recipe's, else None."""
    initial = given or (Path(config.initial) if config.initial else None)
    if initial is None and config.initial_share:
        raise ValueError(
            f"training.initial_share is {config.initial_share}, expected 0 without a model to "
            "start from (training.initial or --initial)"
        )
    return initial


def _load_weights(folder: Path, model: Teacher | Student) -> None:
    """Load a trained model's weights into a model of equal sizes in its training form."""
    trained = type(model).from_pretrained(model_folder(folder))
    if isinstance(trained, Student) and isinstance(model, Student):
        excitation = model.config.excitation
        if excitation.kind == "voice" and trained.parts.voice is not None:
            # How a voice is drawn is a choice of the recipe, not one of the model's sizes.
            trained.set_breath(excitation.breath)
            trained.set_sharpness(excitation.sharpness)
    changes = list(differences(trained.config_dict(), model.config_dict()))
    if changes:
        raise ValueError(f"{folder}: is not the recipe's {model.kind}: {'; '.join(changes)}")
    load_folded_state(model, folded_state(trained))


def _manifest(recipe: Recipe, dump: Path) -> Manifest:
    manifest = Manifest.load(dump)
    recipe.data.mel.check_same(manifest.mel, str(dump))
    manifest.check_pitch(recipe.data.pitch)
    return manifest


def _origin(recipe: Recipe, manifest: Manifest, **models: Path | None) -> dict[str, Any]:
    """Describe the origin of a model; say which settings are the prepared data's own.

    Args:
        recipe: the recipe of the run.
        manifest: the prepared data. The description has their settings in place of the recipe's.
        models: the trained models that the run reads, by name; the description has their digests,
            so that a run that is resumed with another one says so.
    """
    own = {name: getattr(manifest.contents, name) for name in DATA_SETTINGS}
    for name, value in own.items():
        if value != getattr(recipe.data, name) and rank() == 0:
            print(
                f"{manifest.dump_dir}: was prepared with another data.{name}, which holds: {value}"
            )
    used = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, **own))
    digests = {
        name: read_description(model_folder(folder)).get("weights_sha256")
        for name, folder in models.items()
        if folder is not None
    }
    return provenance(used, manifest) | {"models": digests}


def _given(recipe: Recipe, speakers: Sequence[str]) -> dict[str, Any]:
    """Return the sizes of a model's conditioning that depend on the data."""
    return {"pitch": recipe.data.pitch.num_rows > 0, "num_speakers": len(speakers)}


def _set_statistics(model: Teacher | Student, manifest: Manifest) -> None:
    found, config = manifest.statistics, model.config
    # Pitch is centred on the middle of its range, in octaves; voicing and speakers are not scaled.
    pitch = [manifest.pitch.middle, 0.0] if config.pitch else []
    mean = torch.tensor([*found.mel_mean, *pitch, *[0.0] * config.num_speakers])
    std = torch.tensor([*found.mel_std, *[1.0] * (config.num_features - config.num_mels)])
    if isinstance(model, Teacher):
        model.set_statistics(mean, std, found.waveform_std)
        return
    mel = manifest.mel
    envelope = Envelope(mel.band_hz, mel.harmonic_scale, mel.harmonic_offset)
    model.set_statistics(mean, std, found.waveform_std, envelope)


def _named(speakers: Sequence[str]) -> str:
    return f"the speakers {', '.join(speakers)}" if speakers else "no speakers"


def _sampler(recipe: Recipe, manifest: Manifest, config: TrainingConfig) -> SegmentSampler:
    return SegmentSampler(
        manifest,
        "train",
        batch_size=config.batch_size,
        segment_frames=config.segment_frames,
        margin_frames=recipe.teacher.context_margin,
        seed=recipe.seed,
        part=rank(),
        num_parts=world_size(),
        speakers=speakers_in(recipe, manifest),
        pitch=recipe.data.pitch,
    )


def _dump_of(recipe: Recipe) -> Path:
    return Path("dump") / recipe.name


def _exp_of(recipe: Recipe) -> Path:
    return Path("exp") / recipe.name
