"""Models that are given pitch and voicing, from preparation to evaluation."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from data import (
    DataError,
    FeatureMismatch,
    Manifest,
    MelConfig,
    PitchConfig,
    PrepareConfig,
    synthesise,
)
from flows import ArtefactError
from flows.model_folder import CONFIG_FILE
from pipelines import Recipe
from pipelines.benchmark.comparison import benchmark
from pipelines.cli import main
from pipelines.commands import train as commands
from pipelines.commands.evaluate import evaluate
from pipelines.commands.export import METADATA_FILE, export
from pipelines.commands.prepare import prepare
from pipelines.generation.input_errors import InputError
from pipelines.generation.interpolation import interpolate
from pipelines.generation.waveforms import generate
from pipelines.workspace import load_model, pitch_of
from student import ExcitationConfig
from tests.models import HOP, MELS, STUDENT, make_student
from tests.pipelines.conftest import RECIPE

PITCH = PitchConfig(kind="yin")
CPU = "cpu"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pitched")
    synthesise(folder, num_utterances=12, seconds=0.5)
    return folder


@pytest.fixture(scope="module")
def recipe(corpus: Path) -> Recipe:
    data = PrepareConfig(corpus=str(corpus), num_workers=1, pitch=PITCH)
    student = dataclasses.replace(
        RECIPE.student, frame_length=32, excitation=ExcitationConfig(kind="harmonic")
    )
    return dataclasses.replace(RECIPE, data=data, student=student)


@pytest.fixture(scope="module")
def exp(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("given")
    prepare(recipe, dump=folder / "dump")
    commands.train_teacher(recipe, dump=folder / "dump", exp=folder, device=CPU)
    commands.distill(recipe, dump=folder / "dump", exp=folder, device=CPU)
    return folder


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_a_model_stores_that_it_is_given_the_pitch(exp: Path, kind: str) -> None:
    model = load_model(exp / kind)
    assert model.config.pitch
    assert pitch_of(model, exp / kind) == PITCH
    # In octaves from the middle of the range, and the voicing as it is.
    context = model.context if kind == "teacher" else model.frame_context
    assert context.mean[80:, 0].tolist() == pytest.approx([PITCH.middle, 0.0])
    assert context.std[80:, 0].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_a_shifted_pitch_changes_the_sample(
    exp: Path, corpus: Path, tmp_path: Path, kind: str
) -> None:
    source = corpus / "clip_000.wav"
    samples = []
    for shift in (0.0, 12.0):
        out = tmp_path / f"{shift}"
        (written,) = generate(
            exp / kind, source, out, max_seconds=0.2, pitch_shift=shift, device=CPU
        )
        samples.append(written.path.read_bytes())
    assert samples[0] != samples[1]
    with pytest.raises(InputError, match=r"pitch_shift is 25\.0, expected -24 to 24 semitones"):
        generate(exp / kind, source, tmp_path, pitch_shift=25.0, device=CPU)


def test_a_saved_array_holds_the_pitch(exp: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(exp / "dump")
    name = manifest.utterances("test")[0].name
    frames = np.load(manifest.mel_path(name))
    assert frames.shape[0] == 82
    shifted = frames.copy()
    shifted[80] += 0.5
    scrambled = frames.copy()  # where nothing is voiced, no pitch is read
    scrambled[80, frames[81] == 0] = 0
    drawn = []
    for i, array in enumerate((frames, scrambled, shifted)):
        path = tmp_path / f"{i}" / "frames.npy"
        path.parent.mkdir()
        np.save(path, array)
        out = tmp_path / f"out{i}"
        (written,) = generate(exp / "student", path, out, device=CPU, equalise=False)
        drawn.append(written.path.read_bytes())
    assert drawn[0] == drawn[1] != drawn[2]
    (written,) = generate(
        exp / "student",
        tmp_path / "0" / "frames.npy",
        tmp_path / "same",
        pitch_shift=6.0,
        device=CPU,
        equalise=False,
    )
    assert written.path.read_bytes() == drawn[2]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], r"\(80, 5\), expected \(82, L\): 80 log-mel bands and below them two rows, pitch "),
        ([200.0, 1.0], "the row of pitch holds 200 in a voiced frame, expected log2 of Hz"),
        ([7.0, 0.3], "the row of voicing holds 0.3, expected 0 or 1"),
    ],
)
def test_an_array_without_a_pitch_is_refused(
    exp: Path, tmp_path: Path, rows: list[float], message: str
) -> None:
    below = np.tile(np.array(rows, np.float32)[:, None], (1, 5)).reshape(-1, 5)
    np.save(tmp_path / "frames.npy", np.concatenate([np.zeros((80, 5), np.float32), below]))
    with pytest.raises(InputError, match=message):
        generate(exp / "student", tmp_path / "frames.npy", tmp_path / "out", device=CPU)
    assert not (tmp_path / "out").exists()


def test_models_are_evaluated_with_the_pitch(
    exp: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = {"teacher": exp / "teacher", "student": exp / "student", "device": CPU}
    evaluate(**models, dump=exp / "dump", limit=1)
    evaluate(**models, input=corpus, limit=1, systems=["recording", "student"])
    assert capsys.readouterr().out.count("KL to the teacher") == 2


def test_interpolation_and_benchmark_have_the_pitch(
    exp: Path, corpus: Path, tmp_path: Path
) -> None:
    first, second = corpus / "clip_000.wav", corpus / "clip_001.wav"
    options = {"num_steps": 2, "max_seconds": 0.05, "device": CPU}
    assert len(interpolate(exp / "teacher", first, second, tmp_path, **options)) == 2
    result = benchmark(
        exp / "teacher", exp / "student", seconds=0.05, naive_samples=2, rounds=1, device=CPU
    )
    assert result["rows"]


def test_an_exported_student_takes_the_pitch(tmp_path: Path) -> None:
    student = make_student(config=dataclasses.replace(STUDENT, pitch=True)).float()
    mel = MelConfig(num_mels=MELS, hop_length=HOP, n_fft=32, win_length=32)
    conventions = {"mel": dataclasses.asdict(mel), "pitch": dataclasses.asdict(PITCH)}
    student.save_pretrained(tmp_path / "student", conventions)
    export(tmp_path / "student", "pt2", tmp_path / "student.pt2")
    extra_files = {METADATA_FILE: ""}
    program = torch.export.load(tmp_path / "student.pt2", extra_files=extra_files).module()
    described = json.loads(extra_files[METADATA_FILE])
    assert json.loads(described["pitch"]) == conventions["pitch"]
    rows = torch.tensor([7.0, 1.0])[:, None].expand(1, 2, 5)
    frames, z = torch.cat([torch.randn(1, MELS, 5), rows], 1), torch.randn(1, 1, 5 * HOP)
    expected = student(z, frames).waveform.detach()
    torch.testing.assert_close(program(z, frames), expected, rtol=1e-5, atol=1e-5)


def test_data_without_the_pitch_are_refused(recipe: Recipe, dump: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"pitch\.kind is 'none', expected 'yin': run prepare"):
        commands.train_teacher(recipe, dump=dump, exp=tmp_path, device=CPU)


def test_a_teacher_that_is_given_none_is_refused(
    exp: Path, recipe: Recipe, trained: Path, tmp_path: Path
) -> None:
    with pytest.raises(FeatureMismatch, match=r"teacher: pitch\.kind is 'none', expected 'yin'"):
        commands.distill(
            recipe, dump=exp / "dump", teacher=trained / "teacher", exp=tmp_path, device=CPU
        )


def test_models_of_different_pitch_are_not_compared(exp: Path, trained: Path) -> None:
    with pytest.raises(FeatureMismatch, match=r"student: pitch\.kind is 'none', expected 'yin'"):
        evaluate(
            teacher=exp / "teacher", student=trained / "student", dump=exp / "dump", device=CPU
        )


def test_data_with_a_pitch_serve_models_without(exp: Path, recipe: Recipe, tmp_path: Path) -> None:
    plain = dataclasses.replace(recipe.data, pitch=PitchConfig())
    commands.train_teacher(
        dataclasses.replace(recipe, data=plain), dump=exp / "dump", exp=tmp_path, device=CPU
    )
    assert not load_model(tmp_path / "teacher").config.pitch


def test_a_shift_is_refused_for_a_model_without_pitch(
    trained: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", "--model", trained / "student", "--input", corpus, "--out", tmp_path]
    assert main([*map(str, words), "--pitch_shift", "3", "--device", CPU]) == 2
    assert "expected 0: the model has no pitch to shift" in capsys.readouterr().err


def test_a_forged_description_is_refused(exp: Path, tmp_path: Path) -> None:
    model = load_model(exp / "student")
    model.metadata["pitch"] = {"kind": "none"}
    with pytest.raises(
        ArtefactError, match=rf"{CONFIG_FILE}: metadata\.pitch\.kind is 'none', but"
    ):
        pitch_of(model, tmp_path)
    model.metadata["pitch"] = {"kind": "yin", "fmin_hz": 0.001}
    with pytest.raises(ArtefactError, match=r"fmin_hz 0\.001"):
        pitch_of(model, tmp_path)


def test_the_recipe_decides_for_both_models() -> None:
    with pytest.raises(ValueError, match=r"student\.pitch is true, expected false: data\.pitch"):
        dataclasses.replace(RECIPE, student=dataclasses.replace(RECIPE.student, pitch=True))


@pytest.mark.parametrize("model", ["teacher", "student"])
def test_an_unconditional_model_is_given_no_pitch(model: str) -> None:
    config = getattr(RECIPE, model)
    with pytest.raises(ValueError, match=rf"{model}\.pitch is true, expected false where"):
        dataclasses.replace(config, conditioning="none", pitch=True)
