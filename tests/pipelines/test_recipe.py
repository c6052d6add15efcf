"""The bundled recipes: every one parses, and the papers' have the papers' shapes."""

import dataclasses
from pathlib import Path

import pytest
import torch
from jsonargparse import ArgumentParser

from distill import Distillation
from flows.model_folder import model_folder
from pipelines import Recipe, find_recipe
from pipelines.cli import main
from pipelines.recipes import recipe_names
from student import Student
from teacher import Teacher
from tests.pipelines.conftest import RECIPE


def load(path: Path) -> Recipe:
    """Read a recipe as the command line does."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--recipe", type=Recipe)
    return parser.instantiate(parser.parse_args(["--recipe", str(path)])).recipe


@pytest.mark.parametrize("name", recipe_names())
def test_bundled_recipes_parse_and_name_themselves(name: str) -> None:
    assert load(find_recipe(name)).name == name


def test_parallel_wavenet_has_its_published_shapes() -> None:
    recipe = load(find_recipe("parallel_wavenet"))
    with torch.device("meta"):
        teacher, student = Teacher(recipe.teacher), Student(recipe.student)
    layers = [layer.dilation for layer in teacher.wavenet.layers]
    assert layers == [2**i for i in range(10)] * 3
    assert teacher.wavenet.head.out_channels == 3 * 10
    assert [len(network.layers) for network in student.parts.networks] == [10, 10, 10, 30]
    assert {network.config.residual_channels for network in student.parts.networks} == {64}
    assert {network.config.skip_channels for network in student.parts.networks} == {0}
    for training in (recipe.teacher_training, recipe.student_training):
        assert training.segment_frames * recipe.data.mel.hop_length == 7680
        assert (training.batch_size, training.learning_rate) == (32, 2e-4)
    Distillation(student, teacher, recipe.distillation)


def test_clarinet_has_its_published_shapes() -> None:
    recipe = load(find_recipe("clarinet"))
    with torch.device("meta"):
        teacher, student = Teacher(recipe.teacher), Student(recipe.student)
    assert [layer.dilation for layer in teacher.wavenet.layers] == [2**i for i in range(10)] * 2
    assert teacher.wavenet.head.out_channels == 2
    assert [len(network.layers) for network in student.parts.networks] == [10] * 6
    seconds = recipe.teacher_training.segment_frames * 256 / recipe.data.mel.sample_rate
    assert seconds == pytest.approx(0.5, abs=0.005)
    assert recipe.distillation.regulariser_weight == 4.0
    Distillation(student, teacher, recipe.distillation)


OLD_ALLISON = """
name: allison
seed: 1
data:
  corpus: allison
teacher:
  wavenet:
    num_layers: 8
    layers_per_cycle: 8
    kernel_size: 2
    residual_channels: 32
    skip_channels: 32
    prediction_order: 24
student:
  flow_layers: [6, 6, 6]
  layers_per_cycle: 6
  kernel_size: 3
  residual_channels: 32
distillation:
  kl_weight: 0.02
  power_weight: 2.0
"""


def test_a_recipe_from_before_these_options_has_unchanged_values(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(OLD_ALLISON)
    recipe = load(tmp_path / "old.yaml")
    assert (recipe.teacher.distribution, recipe.student.base) == ("gaussian", "gaussian")
    assert recipe.distillation.kl_estimator == "auto"
    assert recipe.distillation.perceptual_weight == recipe.distillation.contrastive_weight == 0


def test_a_recipe_with_contradictory_parts_is_refused() -> None:
    closed = dataclasses.replace(RECIPE.distillation, kl_estimator="closed_form")
    strict = dataclasses.replace(RECIPE, distillation=closed)
    for part, values, message in (
        ("student", {"base": "logistic"}, "exists between Gaussians only"),
        ("teacher", {"distribution": "mixture"}, "exists between Gaussians only"),
        ("student", {"context_margin": 1}, r"student\.context_margin is 1, but the teacher's is 2"),
    ):
        changed = dataclasses.replace(getattr(RECIPE, part), **values)
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(strict, **{part: changed})


def test_another_distribution_needs_no_other_change_of_the_recipe() -> None:
    teacher = dataclasses.replace(RECIPE.teacher, distribution="mixture")
    assert dataclasses.replace(RECIPE, teacher=teacher).distillation.kl_estimator == "auto"


def test_a_folder_that_bears_a_corpus_name_is_the_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from data import Manifest, synthesise

    monkeypatch.chdir(tmp_path)
    synthesise(tmp_path / "allison", num_utterances=3, seconds=0.4)
    assert main(["prepare", "--recipe", "tiny", "--corpus", "./allison", "--dump", "d"]) == 0
    assert Manifest.load(tmp_path / "d").contents.corpus == "./allison"
    assert not (tmp_path / "corpora").exists()


def test_an_empty_corpus_is_not_the_current_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "--recipe", "tiny", "--recipe.data.corpus", ""]) == 2
    assert "corpus is ''" in capsys.readouterr().err


def test_adaptation_starts_from_pretrained_models_of_its_sizes() -> None:
    recipe = load(find_recipe("adapt"))
    teacher = Teacher.from_pretrained(model_folder(Path(recipe.teacher_training.initial)))
    assert teacher.config == recipe.teacher
    student = Student.from_pretrained(model_folder(Path(recipe.student_training.initial)))
    assert student.config == recipe.student
