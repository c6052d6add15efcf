"""Several processes: one process's curve, one writer, and an end for all if one dies."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from data import Batch, Manifest, SegmentSampler
from distill import AdversarialConfig, DistillationConfig
from pipelines import Recipe
from pipelines.commands import train as commands
from pipelines.training.checkpoints import list_checkpoints, step_of
from pipelines.training.tasks import _noise
from student import ExcitationConfig, Student
from tests.pipelines.conftest import RECIPE

STEPS = 24  # enough for a run to be found running


def recipe_of(**changes: object) -> Recipe:
    training = dataclasses.replace(
        RECIPE.teacher_training, max_steps=STEPS, log_every=1, validate_every=2, batch_size=4
    )
    training = dataclasses.replace(training, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(RECIPE, teacher_training=training, student_training=training)


def start(
    folder: Path, recipe: Recipe, words: list[str], launcher: str = "torchrun"
) -> subprocess.Popen[str]:
    """Start a command in two processes."""
    file = folder / "recipe.yaml"
    file.write_text(json.dumps(recipe.to_dict()))
    program = [words[0], "--recipe", str(file), *words[1:], "--device", "cpu"]
    if launcher == "command":
        command = [sys.executable, "-m", "pipelines.cli", *program, "--processes", "2"]
    elif launcher == "torchrun":
        before = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]
        command = [sys.executable, *before, "pipelines.cli", *program]
    else:
        script = Path(sys.modules["pipelines"].__path__[0]) / "cli.py"
        before = [str(Path(sys.executable).parent / "fabric"), "run", "--accelerator", "cpu"]
        command = [*before, "--devices", "2", str(script), *program]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[4],
        start_new_session=True,
        # A shell that starts the tests in the background lets them ignore SIGINT.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


def curve(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def assert_same_curve(found: Path, expected: Path) -> None:
    lines, wanted = curve(found), curve(expected)
    assert [line["step"] for line in lines] == [line["step"] for line in wanted]
    for line, other in zip(lines, wanted, strict=True):
        assert line.keys() == other.keys()
        for name in line.keys() - {"seconds", "part"}:
            assert line[name] == pytest.approx(other[name], rel=5e-4, abs=1e-5), (name, line)


@pytest.fixture(scope="module")
def alone(dump: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train teacher and student by one process."""
    exp = tmp_path_factory.mktemp("alone")
    commands.train_teacher(recipe_of(), dump=dump, exp=exp, device="cpu")
    commands.distill(recipe_of(), dump=dump, exp=exp, device="cpu")
    return exp


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "launcher"),
    [
        ("teacher", "command"),
        ("teacher", "torchrun"),
        ("student", "fabric"),
    ],
)
def test_two_processes_have_one_processs_curve(
    kind: str, launcher: str, dump: Path, alone: Path, tmp_path: Path
) -> None:
    command = "train-teacher" if kind == "teacher" else "distill"
    words = [command, "--dump", str(dump), "--exp", str(tmp_path)]
    if kind == "student":
        words += ["--teacher", str(alone / "teacher")]
    process = start(tmp_path, recipe_of(), words, launcher)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    assert_same_curve(tmp_path / kind, alone / kind)
    assert launcher != "command" or "Warning" not in output
    # One writer.
    assert output.count(f"{kind}: {tmp_path / kind}") == 1
    assert len(list((tmp_path / kind / "tensorboard").iterdir())) == 1
    described = json.loads((tmp_path / kind / "config.json").read_text())
    expected = json.loads((alone / kind / "config.json").read_text())
    assert described["metadata"]["steps"] == expected["metadata"]["steps"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("excitation", "objective"),
    [
        # The rows of a batch have unequal numbers of voiced frames.
        (ExcitationConfig(kind="harmonic", pitch_channels=4), RECIPE.distillation),
        # Flow and discriminators come in later; until then they have no gradient of their own.
        (
            ExcitationConfig(kind="voice", voice_order=8, voice_channels=4, pitch_channels=4),
            dataclasses.replace(
                RECIPE.distillation,
                excitation_steps=1,
                adversarial_weight=1.0,
                adversarial=AdversarialConfig(
                    first_step=2, channels=2, spectral=RECIPE.distillation.spectral
                ),
            ),
        ),
    ],
    ids=["pitch", "later-parts"],
)
def test_two_processes_that_predict_a_pitch_have_one_processs_curve(
    excitation: ExcitationConfig,
    objective: DistillationConfig,
    dump: Path,
    alone: Path,
    tmp_path: Path,
) -> None:
    student = dataclasses.replace(RECIPE.student, frame_length=64, excitation=excitation)
    recipe = dataclasses.replace(recipe_of(max_steps=4), student=student, distillation=objective)
    teacher = alone / "teacher"
    commands.distill(recipe, dump=dump, exp=tmp_path / "one", teacher=teacher, device="cpu")
    two = {"exp": tmp_path / "two", "processes": 2}
    commands.distill(recipe, dump=dump, teacher=teacher, device="cpu", **two)
    assert_same_curve(tmp_path / "two" / "student", tmp_path / "one" / "student")
    assert all("pitch" in line for line in curve(tmp_path / "one" / "student") if "loss" in line)


def processes_of(parent: int) -> list[int]:
    """Processes that a launcher started, in the order of their ranks."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    ranked = []
    for child in children:
        environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        ranked += [(value, int(child)) for value in environment if value.startswith(b"RANK=")]
    return [child for _, child in sorted(ranked)]


def wait_for_checkpoint(folder: Path) -> int:
    """Wait for the first checkpoint, and return its step."""
    for _ in range(6000):
        found = list_checkpoints(folder / "checkpoints")
        if found:
            return step_of(found[0])
        time.sleep(0.1)
    raise AssertionError(f"no checkpoint in {folder}")


@pytest.mark.slow
def test_a_killed_process_ends_all_and_the_run_resumes(
    dump: Path, alone: Path, tmp_path: Path
) -> None:
    words = ["train-teacher", "--dump", str(dump), "--exp", str(tmp_path)]
    process = start(tmp_path, recipe_of(), words)
    wait_for_checkpoint(tmp_path / "teacher")
    workers = processes_of(process.pid)
    assert len(workers) == 2
    os.kill(workers[1], signal.SIGKILL)
    output, _ = process.communicate(timeout=600)
    assert process.returncode != 0
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert "parallel-wavenet: lost a process" in output, output
    process = start(tmp_path, recipe_of(), words)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    assert "resuming at step" in output
    assert_same_curve(tmp_path / "teacher", alone / "teacher")


@pytest.mark.slow
def test_a_stopped_launcher_saves_and_the_run_resumes_in_one_process(
    dump: Path, alone: Path, tmp_path: Path
) -> None:
    words = ["train-teacher", "--dump", str(dump), "--exp", str(tmp_path)]
    process = start(tmp_path, recipe_of(), words)
    wait_for_checkpoint(tmp_path / "teacher")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=600)
    assert process.returncode != 0
    if "stopped by SIGTERM after step" not in output:
        assert curve(tmp_path / "teacher")[-1]["step"] == STEPS  # it had just ended
    commands.train_teacher(recipe_of(), dump=dump, exp=tmp_path, device="cpu")
    assert_same_curve(tmp_path / "teacher", alone / "teacher")


@pytest.mark.parametrize("num_parts", [1, 2, 3, 6])
def test_the_parts_of_a_batch_make_up_the_batch(dump: Path, num_parts: int) -> None:
    options = {"batch_size": 6, "segment_frames": 5, "margin_frames": 2, "seed": 3}
    manifest = Manifest.load(dump)
    whole = SegmentSampler(manifest, **options)  # type: ignore[arg-type]
    parts = [
        SegmentSampler(manifest, **options, part=part, num_parts=num_parts)  # type: ignore[arg-type]
        for part in range(num_parts)
    ]
    for step in (0, 5):
        batches = [part.batch(step) for part in parts]
        assert [batch.first_row for batch in batches] == [
            6 // num_parts * part for part in range(num_parts)
        ]
        for name in ("waveform", "log_mel"):
            joined = torch.cat([getattr(batch, name) for batch in batches])
            assert torch.equal(joined, getattr(whole.batch(step), name))


def test_the_noise_of_a_part_belongs_to_its_rows() -> None:
    student = Student(RECIPE.student)
    whole = _noise(student, torch.empty(6, 1, 100), seed=1, step=2)
    parts = [_noise(student, torch.empty(2, 1, 100), 1, 2, first_row) for first_row in (0, 2, 4)]
    assert torch.equal(torch.cat(parts), whole)
    assert len({float(row[0, 0]) for row in whole}) == 6
    assert not torch.equal(whole, _noise(student, torch.empty(6, 1, 100), seed=1, step=3))


def test_a_batch_that_cannot_be_shared_is_refused(dump: Path) -> None:
    with pytest.raises(ValueError, match="batch_size is 4, expected a multiple of 3"):
        SegmentSampler(dump, batch_size=4, segment_frames=2, part=0, num_parts=3)
    with pytest.raises(ValueError, match="part is 3, expected 0 to 2"):
        SegmentSampler(dump, batch_size=3, segment_frames=2, part=3, num_parts=3)


def test_a_batch_keeps_its_place_on_the_way_to_a_device() -> None:
    batch = Batch(torch.zeros(2, 1, 8), torch.zeros(2, 4, 1), first_row=4)
    assert batch.to("meta").first_row == 4
