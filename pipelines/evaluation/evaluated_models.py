"""The models of an evaluation: they have names and share a mel convention."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from data import NO_PITCH, MelConfig, PitchConfig
from flows import ArtefactError
from pipelines.workspace import load_model, mel_of, pitch_of, speakers_known
from student import Student
from teacher import Teacher


@dataclass(frozen=True, kw_only=True)
class Models:
    """The models of an evaluation.

    Args:
        teacher: the teacher, or None.
        students: students by name.
        folders: each model's folder by name; the teacher's name is "teacher".
        mel: the convention of all models; None without models.
        speakers: the speakers that all models know.
        pitch: the pitch rows that all models are given.
    """

    teacher: Teacher | None
    students: dict[str, Student]
    folders: dict[str, Path]
    mel: MelConfig | None
    speakers: tuple[str, ...] = ()
    pitch: PitchConfig = NO_PITCH

    @property
    def frame_length(self) -> int:
        """The longest frame that one of the models draws at once, samples; 1 without models."""
        models = [self.teacher, *self.students.values()]
        return max((model.config.frame_length for model in models if model is not None), default=1)


def load_models(
    teacher: Path | None, students: Sequence[Path], device: torch.device | str
) -> Models:
    """Load a teacher and students.

    Args:
        teacher: the teacher's folder, or None.
        students: the students' folders.
        device: device of the models.
    Raises:
        ArtefactError: if a folder holds no model or a model of the other kind, or if models know
            different speakers.
        FeatureMismatch: if the mel conventions or the pitch rows of two models differ.
    """
    folders = dict(zip(student_names(students), students, strict=True))
    if teacher is not None:
        folders = {"teacher": teacher, **folders}
    mel: MelConfig | None = None
    pitch: PitchConfig | None = None
    speakers: tuple[str, ...] | None = None
    loaded: dict[str, Teacher | Student] = {}
    for name, folder in folders.items():
        model = load_model(folder, device)
        wanted = "teacher" if name == "teacher" else "student"
        if model.kind != wanted:
            raise ArtefactError(f"{folder}: kind is {model.kind!r}, expected {wanted!r}")
        found = mel_of(model, folder)
        if mel is not None:
            mel.check_same(found, str(folder))
        given = pitch_of(model, folder)
        if pitch is not None:
            pitch.check_same(given, str(folder))
        known = speakers_known(model, folder)
        if speakers not in (None, known):
            raise ArtefactError(f"{folder}: knows speakers {known}, another model {speakers}")
        speakers = known
        loaded[name], mel, pitch = model, found, given
    return Models(
        teacher=next((m for m in loaded.values() if isinstance(m, Teacher)), None),
        students={name: m for name, m in loaded.items() if isinstance(m, Student)},
        folders=folders,
        mel=mel,
        speakers=speakers or (),
        pitch=pitch or NO_PITCH,
    )


def student_names(folders: Sequence[Path]) -> list[str]:
    """Name students by their folders, so that all names differ.

    >>> student_names([Path("exp/a/student")])
    ['student']
    >>> student_names([Path("exp/a/student"), Path("exp/b/student")])
    ['student a', 'student b']
    """
    reserved = {"recording", "griffin-lim", "world", "teacher", ""}
    parents = [folder.resolve().parent.name for folder in folders]
    names = [f.name if f.name not in ("", "..") else f.resolve().name for f in folders]
    for candidates in (names, [f"{n} {p}" for n, p in zip(names, parents, strict=True)]):
        if len(set(candidates)) == len(candidates) and not reserved & set(candidates):
            return candidates
    return [f"student {i + 1}" for i in range(len(folders))]
