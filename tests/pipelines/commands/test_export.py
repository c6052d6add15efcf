"""Exported students equal the student: pt2 here, ONNX in extras/."""

import dataclasses
import importlib.util
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from flows.model_folder import ArtefactError
from pipelines.cli import main
from pipelines.commands.export import METADATA_FILE, ExportError, export
from student import Student, StudentConfig
from tests.models import (
    EXCITED_STUDENT,
    FRAME_STUDENT,
    HOP,
    MELS,
    VOICED_STUDENT,
    make_mel,
    make_student,
)

MEL = {"num_mels": MELS, "hop_length": HOP, "n_fft": 32, "win_length": 32, "sample_rate": 16000}


def noise_and_mel(batch: int, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(frames)
    return torch.randn(batch, 1, frames * 256), torch.randn(batch, 80, frames)


def test_pt2_draws_what_the_student_draws(trained: Path, tmp_path: Path) -> None:
    student = Student.from_pretrained(trained / "student")
    file = tmp_path / "student.pt2"
    words = ["export", "--model", str(trained / "student"), "--format", "pt2", "--out", str(file)]
    assert main(words) == 0
    extra_files = {METADATA_FILE: ""}
    program = torch.export.load(file, extra_files=extra_files).module()
    described = json.loads(extra_files[METADATA_FILE])
    assert json.loads(described["mel"]) == student.metadata["mel"]
    assert (described["noise"], described["sample_rate"]) == ("gaussian", "16000")
    for batch, frames in [(1, 1), (1, 30), (3, 7)]:
        z, mel = noise_and_mel(batch, frames)
        expected = student(z, mel).waveform.detach()
        torch.testing.assert_close(program(z, mel), expected, rtol=1e-5, atol=1e-5)
    # The noise of Student.sample is one draw a frame.
    sampled = student.sample(mel[:1], generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    z = torch.cat([torch.empty(1, 1, 256).normal_(generator=generator) for _ in range(7)], -1)
    torch.testing.assert_close(program(z, mel[:1]), sampled, rtol=1e-5, atol=1e-5)


def test_a_pt2_stream_joins_to_what_the_student_draws(trained: Path, tmp_path: Path) -> None:
    student = Student.from_pretrained(trained / "student")
    export(trained / "student", "pt2", tmp_path / "stream.pt2", stream=True)
    extra_files = {METADATA_FILE: ""}
    program = torch.export.load(tmp_path / "stream.pt2", extra_files=extra_files).module()
    described = json.loads(extra_files[METADATA_FILE])
    margin = int(described["context_margin"])
    z, mel = noise_and_mel(1, 12)
    around = F.pad(mel, (margin, margin), mode="replicate")
    state, pieces = torch.zeros(1, int(described["state_size"])), []
    for start, stop in [(0, 1), (1, 8), (8, 12)]:
        piece, state = program(
            z[..., start * 256 : stop * 256], around[..., start : stop + 2 * margin], state
        )
        pieces.append(piece)
    expected = student(z, mel).waveform.detach()
    torch.testing.assert_close(torch.cat(pieces, -1), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("config", [FRAME_STUDENT, EXCITED_STUDENT, VOICED_STUDENT])
def test_a_frame_students_pt2_draws_what_it_draws(config: StudentConfig, tmp_path: Path) -> None:
    student = make_student(config=dataclasses.replace(config, filter_order=5)).float()
    student.save_pretrained(tmp_path / "student", {"mel": MEL})
    export(tmp_path / "student", "pt2", tmp_path / "student.pt2")
    program = torch.export.load(tmp_path / "student.pt2").module()
    student = Student.from_pretrained(tmp_path / "student")
    for frames in (2, 9):
        z, mel = torch.randn(1, 1, frames * HOP), make_mel(1, frames).float()
        expected = student(z, mel).waveform.detach()
        torch.testing.assert_close(program(z, mel), expected, rtol=1e-4, atol=1e-5)


def test_noise_that_does_not_fit_the_mel_is_refused(trained: Path, tmp_path: Path) -> None:
    export(trained / "student", "pt2", tmp_path / "student.pt2")
    program = torch.export.load(tmp_path / "student.pt2").module()
    z, mel = noise_and_mel(1, 5)
    with pytest.raises((AssertionError, RuntimeError), match=r"Guard failed|shape"):
        program(z[..., 1:], mel)


def test_models_that_cannot_be_exported_are_named(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ArtefactError, match="expected a student, got a teacher"):
        export(trained / "teacher", "pt2", tmp_path / "teacher.pt2")
    with pytest.raises(ExportError, match=r"has no voice, whose pitch and breath --controls"):
        export(trained / "student", "pt2", tmp_path / "student.pt2", controls=True)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnxscript" else find(name)
    )
    with pytest.raises(ExportError, match=r"onnxscript.*setup\.sh --extras export"):
        export(trained / "student", "onnx", tmp_path / "student.onnx")
    assert not list(tmp_path.iterdir())
