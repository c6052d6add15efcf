"""Readers of files from elsewhere, each with examples and the errors it may raise."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from hypothesis import strategies as st
from jsonargparse import ArgumentError, ArgumentParser

from data import (
    NO_PITCH,
    AudioError,
    DataError,
    Manifest,
    MelConfig,
    PitchConfig,
    PrepareConfig,
    read_waveform,
)
from data.corpora.synthetic import synthesise
from data.prepared.journal import Journal
from data.prepared.prepare import prepare
from data.tables import TableError, read_table
from flows import (
    ArtefactError,
)
from flows.families import FamilyConfig
from pipelines.cli import build_parser
from pipelines.density.model import DensityModel
from pipelines.generation.input_errors import InputError
from pipelines.generation.inputs import read_saved_frames
from pipelines.recipes import find_recipe
from pipelines.training.checkpoints import (
    Checkpoint,
    CheckpointError,
    read_checkpoint,
    write_checkpoint,
)
from pipelines.workspace import load_model, mel_of, pitch_of
from storage.arrays import ArrayError, open_array
from tests.fuzz.mutations import as_text, damaged, forged
from tests.fuzz.sounds import SOUNDS
from tests.models import make_student, make_teacher
from tests.pipelines.conftest import RECIPE


@dataclass(frozen=True)
class Target:
    """A reader.

    Args:
        name: name of the target.
        contents: strategy for a file's bytes, from a folder to make whole examples in.
        place: where a file goes in a scratch folder, given its content.
        read: reads the file.
        raises: errors that it may raise, with a message of one line.
        weight: share of a long run's inputs; slow readers get fewer.
    """

    name: str
    contents: Callable[[Path], st.SearchStrategy[bytes]]
    place: Callable[[Path, bytes], Path]
    read: Callable[[Path], object]
    raises: tuple[type[Exception], ...]
    weight: float = 1.0


def _named(name: str) -> Callable[[Path, bytes], Path]:
    return lambda folder, content: folder / name


def _audio(suffix: str) -> Target:
    return Target(
        f"audio {suffix}",
        lambda folder: damaged([SOUNDS[suffix]()]),
        _named(f"a.{suffix}"),
        lambda path: read_waveform(path, 8000),
        (AudioError,),
        0.5,
    )


def _saved(save: Callable[[io.BytesIO], None]) -> bytes:
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


_MEL = MelConfig(num_mels=4)
_KEPT = {"mel": _MEL, "pitch": NO_PITCH}
_save_as_before_zip = partial(torch.save, _use_new_zipfile_serialization=False)
_NPY = (
    _saved(lambda file: np.save(file, np.zeros((4, 6), np.float32))),
    _saved(lambda file: np.save(file, np.ones((40, 2)))),
    _saved(lambda file: np.save(file, np.arange(60, dtype=np.int16).reshape(30, 2))),
    _saved(lambda file: np.save(file, np.array([{"a": 1}], object), allow_pickle=True)),
)
_NPZ = (
    _saved(lambda file: np.savez(file, np.random.default_rng(0).normal(size=(40, 2)))),
    _saved(lambda file: np.savez_compressed(file, np.ones((40, 2)), b=np.zeros(3))),
)
_MEL_NPZ = (
    _saved(lambda file: np.savez(file, np.zeros((4, 6), np.float16))),
    _saved(lambda file: np.savez_compressed(file, mel=np.ones((1, 4, 6)))),
)
_PT = (
    _saved(lambda file: torch.save(torch.zeros(1, 4, 6), file)),
    _saved(lambda file: torch.save({"mel": torch.ones(4, 6), "step": 3}, file)),
    _saved(
        lambda file: torch.save(torch.ones(4, 6).half(), file, _use_new_zipfile_serialization=False)
    ),
)
_ROWS = "".join(f"{i},{i / 7},{-i}e-3\n" for i in range(35))


def _manifest_text(folder: Path) -> st.SearchStrategy[bytes]:
    synthesise(folder / "corpus", num_utterances=3, seconds=0.4)
    manifest = prepare(folder / "corpus", folder / "dump", PrepareConfig(), progress=False)
    text = (manifest.dump_dir / "manifest.json").read_bytes()
    return as_text(forged([json.loads(text)])) | damaged([text])


def _journal_text(folder: Path) -> st.SearchStrategy[bytes]:
    _manifest_text(folder)
    text = (folder / "dump" / "journal.jsonl").read_bytes()
    lines = forged([json.loads(line) for line in text.splitlines()])
    return as_text(lines) | damaged([text])


def _model_files(folder: Path) -> dict[str, Path]:
    metadata = {name: dataclasses.asdict(kept) for name, kept in _KEPT.items()}
    density = DensityModel(FamilyConfig(family="maf", num_features=2, num_layers=1, hidden=(4,)))
    models = {"teacher": make_teacher(), "student": make_student(), "density": density}
    for kind, model in models.items():
        model.float().save_pretrained(folder / kind, metadata)
    return {kind: folder / kind for kind in models}


def _config_text(folder: Path) -> st.SearchStrategy[bytes]:
    texts = [(path / "config.json").read_bytes() for path in _model_files(folder).values()]
    return as_text(forged([json.loads(text) for text in texts])) | damaged(texts)


def _place_config(folder: Path, content: bytes) -> Path:
    """Put a description beside the weights of the kind that it names."""
    kind = next((k for k in ("teacher", "student", "density") if k.encode() in content), "teacher")
    if not (folder / kind).exists():
        _model_files(folder)
    return folder / kind / "config.json"


def _read_config(path: Path) -> object:
    try:
        kind = json.loads(path.read_bytes())["kind"]
    except (ValueError, TypeError, KeyError, RecursionError):
        kind = "teacher"
    folder = path.parent
    if kind == "density":
        return DensityModel.from_pretrained(folder)
    model = load_model(folder)
    return mel_of(model, folder), pitch_of(model, folder)


def _weights(folder: Path) -> st.SearchStrategy[bytes]:
    return damaged([(_model_files(folder)["teacher"] / "model.safetensors").read_bytes()])


def _place_weights(folder: Path, content: bytes) -> Path:
    """Put weights beside the teacher's description, and record their digest there."""
    if not (folder / "teacher").exists():
        _model_files(folder)
    path = folder / "teacher" / "config.json"
    described = json.loads(path.read_text())
    described["weights_sha256"] = hashlib.sha256(content).hexdigest()
    path.write_text(json.dumps(described))
    return folder / "teacher" / "model.safetensors"


def _checkpoint(folder: Path) -> st.SearchStrategy[bytes]:
    tensors = {"model/weight": torch.ones(3, 2), "optimizer/weight/step": torch.tensor(1.0)}
    path = write_checkpoint(folder, Checkpoint(7, tensors, {"progress": {"step": 7}}))
    return damaged([path.read_bytes()])


def _place_checkpoint(folder: Path, content: bytes) -> Path:
    """Give a checkpoint the name with its digest."""
    return folder / f"step_00000007-{hashlib.sha256(content).hexdigest()[:16]}.safetensors"


def _recipe_text(folder: Path) -> st.SearchStrategy[bytes]:
    text = find_recipe("tiny").read_bytes()
    return as_text(forged([RECIPE.to_dict()])) | damaged([text])


@cache
def _parser() -> ArgumentParser:
    return build_parser("prepare")


def _read_recipe(path: Path) -> object:
    """Read a recipe as the command line does."""
    parser = _parser()
    return parser.instantiate(
        parser.parse_args(["prepare", "--recipe", str(find_recipe(str(path)))])
    )


TARGETS = (
    *map(_audio, SOUNDS),
    Target("features", lambda _: damaged(_NPY), _named("a.npy"), open_array, (ArrayError,), 2.0),
    Target(
        "mel",
        lambda _: damaged(_NPY),
        _named("a.npy"),
        lambda path: read_saved_frames(path, _MEL, NO_PITCH),
        (InputError,),
    ),
    Target(
        "mel npz",
        lambda _: damaged(_MEL_NPZ),
        _named("a.npz"),
        lambda path: read_saved_frames(path, _MEL, NO_PITCH),
        (InputError,),
    ),
    Target(
        "mel pt",
        lambda _: damaged(_PT),
        _named("a.pt"),
        lambda path: read_saved_frames(path, _MEL, NO_PITCH),
        (InputError,),
    ),
    Target(
        "pitch",
        lambda _: damaged(_NPY),
        _named("a.npy"),
        lambda path: read_saved_frames(path, MelConfig(num_mels=2), PitchConfig(kind="yin")),
        (InputError,),
    ),
    Target("table npy", lambda _: damaged(_NPY), _named("a.npy"), read_table, (TableError,)),
    Target("table npz", lambda _: damaged(_NPZ), _named("a.npz"), read_table, (TableError,)),
    Target(
        "table csv",
        lambda _: damaged([_ROWS.encode(), b"x,y,z\n" + _ROWS.encode()]),
        _named("a.csv"),
        read_table,
        (TableError,),
    ),
    Target(
        "manifest",
        _manifest_text,
        _named("manifest.json"),
        lambda path: Manifest.load(path.parent),
        (DataError,),
    ),
    Target(
        "journal",
        _journal_text,
        _named("journal.jsonl"),
        lambda path: Journal(path.parent).records,
        (),
    ),
    Target("config", _config_text, _place_config, _read_config, (ArtefactError,), 0.2),
    Target(
        "weights",
        _weights,
        _place_weights,
        lambda path: load_model(path.parent),
        (ArtefactError,),
        0.3,
    ),
    Target("checkpoint", _checkpoint, _place_checkpoint, read_checkpoint, (CheckpointError,)),
    Target(
        "recipe",
        _recipe_text,
        _named("recipe.yaml"),
        _read_recipe,
        (ValueError, OSError, ArgumentError),
        0.03,
    ),
)
