"""Models conditioned on the speaker, and unconditional models."""

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch

from data import DataError, Manifest, MelConfig, PrepareConfig, speaker_of, synthesise
from flows import ArtefactError
from pipelines import Recipe
from pipelines.commands import train as commands
from pipelines.commands.evaluate import evaluate
from pipelines.commands.prepare import prepare
from pipelines.generation.interpolation import interpolate
from pipelines.generation.waveforms import generate
from pipelines.workspace import equaliser_of, held_out, load_model
from student import Student, StudentConfig
from teacher import Teacher, TeacherConfig
from tests.models import make_mel
from tests.pipelines.conftest import RECIPE

SPEAKERS = ["ann", "bob"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speakers")
    for speaker in SPEAKERS:
        synthesise(folder / speaker, num_utterances=6, seconds=0.4)
    return folder


@pytest.fixture(scope="module")
def recipe(corpus: Path) -> Recipe:
    data = PrepareConfig(corpus=str(corpus), num_workers=1)
    return dataclasses.replace(RECIPE, data=data, speakers=True)


@pytest.fixture(scope="module")
def exp(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("told")
    prepare(recipe, dump=folder / "dump")
    commands.train_teacher(recipe, dump=folder / "dump", exp=folder, device="cpu")
    commands.distill(recipe, dump=folder / "dump", exp=folder, device="cpu")
    return folder


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_a_model_stores_the_speakers_it_knows(exp: Path, kind: str) -> None:
    model = load_model(exp / kind)
    assert model.metadata["speakers"] == SPEAKERS
    assert model.config.num_speakers == len(SPEAKERS)


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_the_speaker_changes_the_sample(exp: Path, corpus: Path, tmp_path: Path, kind: str) -> None:
    source = next((corpus / "ann").rglob("*.wav"))
    samples = []
    for speaker in SPEAKERS:
        (written,) = generate(
            exp / kind, source, tmp_path / speaker, max_seconds=0.1, speaker=speaker, device="cpu"
        )
        samples.append(written.path.read_bytes())
    assert samples[0] != samples[1]
    with pytest.raises(DataError, match="speaker is None, expected one of ann, bob"):
        generate(exp / kind, source, tmp_path / "nobody", device="cpu")
    assert not (tmp_path / "nobody").exists()


def test_an_unseen_speaker_is_evaluated_as_a_known_one(
    exp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    synthesise(tmp_path / "cyd", num_utterances=1, seconds=0.4)
    models = {"teacher": exp / "teacher", "student": exp / "student", "device": "cpu"}
    evaluate(**models, input=tmp_path / "cyd", speaker="bob")
    evaluate(**models, dump=exp / "dump", limit=1)
    assert capsys.readouterr().out.count("KL to the teacher") == 2
    with pytest.raises(DataError, match="speaker is 'cyd'"):
        evaluate(**models, input=tmp_path / "cyd", speaker="cyd")


def test_interpolation_takes_one_speaker(exp: Path, corpus: Path, tmp_path: Path) -> None:
    first, second = sorted((corpus / "ann").rglob("*.wav"))[:2]
    written = interpolate(
        exp / "teacher",
        first,
        second,
        tmp_path,
        num_steps=2,
        max_seconds=0.05,
        speaker="ann",
        device="cpu",
    )
    assert len(written) == 2


def test_a_teacher_of_other_speakers_is_refused(exp: Path, recipe: Recipe, tmp_path: Path) -> None:
    plain = dataclasses.replace(recipe, speakers=False)
    with pytest.raises(ValueError, match=r"knows the speakers ann, bob, but .* has no speakers"):
        commands.distill(
            plain, dump=exp / "dump", teacher=exp / "teacher", exp=tmp_path, device="cpu"
        )


def test_models_of_other_speakers_are_not_compared(exp: Path, trained: Path) -> None:
    with pytest.raises(ArtefactError, match="knows speakers"):
        evaluate(
            teacher=exp / "teacher", student=trained / "student", dump=exp / "dump", device="cpu"
        )


def test_an_unconditional_model_ignores_its_frames(dump: Path, tmp_path: Path) -> None:
    unconditional = dataclasses.replace(
        RECIPE,
        teacher=dataclasses.replace(RECIPE.teacher, conditioning="none"),
        student=dataclasses.replace(RECIPE.student, conditioning="none"),
    )
    commands.train_teacher(unconditional, dump=dump, exp=tmp_path, device="cpu")
    commands.distill(unconditional, dump=dump, exp=tmp_path, device="cpu")
    teacher = Teacher.from_pretrained(tmp_path / "teacher")
    student = Student.from_pretrained(tmp_path / "student")
    frames, others = (
        torch.randn(1, 80, 3, generator=torch.Generator().manual_seed(seed)) for seed in range(2)
    )
    waveform = torch.rand(1, 1, 768) - 0.5
    assert torch.equal(teacher.log_prob(waveform, frames), teacher.log_prob(waveform, others))
    for model in (teacher, student):
        first, second = (
            model.sample(mel, generator=torch.Generator().manual_seed(0))
            for mel in (frames, others)
        )
        assert torch.equal(first, second)
        assert equaliser_of(model, MelConfig()) is None


@pytest.mark.parametrize("config", [TeacherConfig, StudentConfig])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"conditioning": "f0"}, "conditioning is 'f0', expected 'mel' or 'none'"),
        ({"num_speakers": -1}, "num_speakers is -1"),
        ({"num_speakers": 2, "conditioning": "none"}, "num_speakers is 2, expected .* 0 where"),
    ],
)
def test_impossible_conditioning_is_refused(
    config: type[TeacherConfig | StudentConfig], values: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        config(**values)


def test_the_recipe_does_not_count_speakers() -> None:
    with pytest.raises(ValueError, match=r"teacher\.num_speakers is 2, expected 0"):
        dataclasses.replace(RECIPE, teacher=dataclasses.replace(RECIPE.teacher, num_speakers=2))


def test_an_unconditional_network_still_checks_its_frames() -> None:
    teacher = Teacher(TeacherConfig(conditioning="none", context_channels=4))
    with pytest.raises(ValueError, match="conditioning has shape"):
        teacher.log_prob(torch.zeros(1, 1, 512), make_mel(3))


def test_a_folder_named_as_a_speaker_tells_who_speaks(
    exp: Path, corpus: Path, tmp_path: Path
) -> None:
    options = {"max_seconds": 0.1, "device": "cpu", "temperature": 0.0}
    source = next((corpus / "bob").rglob("*.wav"))
    (tmp_path / "in" / "bob").mkdir(parents=True)
    shutil.copy(source, tmp_path / "in" / "bob")
    (found,) = generate(exp / "student", tmp_path / "in", tmp_path / "found", **options)
    told = {}
    for speaker in SPEAKERS:
        (made,) = generate(exp / "student", source, tmp_path / speaker, speaker=speaker, **options)
        told[speaker] = made.path.read_bytes()
    assert found.path == tmp_path / "found" / "bob" / source.name
    assert found.path.read_bytes() == told["bob"] != told["ann"]


def test_utterances_of_unknown_speakers_are_left_out(
    exp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = Manifest.load(exp / "dump")
    validated = manifest.utterances("val")
    speaker = speaker_of(validated[0].name)
    told = held_out(manifest, "val", None, "cpu", (speaker,))
    assert [u.name for u in told] == [u.name for u in validated if speaker_of(u.name) == speaker]
    left = len(validated) - len(told)
    assert (f"{left} val utterances are left out" in capsys.readouterr().out) == (left > 0)
    with pytest.raises(DataError, match="no utterances of cyd to val on"):
        held_out(manifest, "val", None, "cpu", ("cyd",))
