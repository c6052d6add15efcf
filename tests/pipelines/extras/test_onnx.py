"""Students exported to ONNX equal the student, also in programs without this project."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import soundfile
import torch
import torch.nn.functional as F

from data import MelConfig
from pipelines.benchmark.flops import student_flops
from pipelines.benchmark.peers import peer_systems
from pipelines.commands.export import export
from student import Student
from tests.models import (
    FILTERED_STUDENT,
    HOP,
    MELS,
    STUDENT,
    VOICED_STUDENT,
    make_mel,
    make_student,
)

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
FRAMES = 21
MEL = {"num_mels": MELS, "hop_length": HOP, "n_fft": 32, "win_length": 32, "sample_rate": 16000}


@pytest.fixture(scope="module", params=["plain", "filtered"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    config = FILTERED_STUDENT if request.param == "filtered" else STUDENT
    student = make_student(config=config).float()
    student.save_pretrained(folder / "student", {"mel": MEL})
    export(folder / "student", "onnx", folder / "whole.onnx")
    export(folder / "student", "onnx", folder / "stream.onnx", stream=True)
    return folder


def session_of(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def expected(folder: Path, z: np.ndarray, mel: np.ndarray) -> np.ndarray:
    student = Student.from_pretrained(folder / "student")
    with torch.no_grad():
        return student(torch.from_numpy(z), torch.from_numpy(mel)).waveform.numpy()


@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (1, FRAMES), (3, 5)])
def test_the_whole_equals_the_student(folder: Path, batch: int, frames: int) -> None:
    session = session_of(folder / "whole.onnx")
    mel = make_mel(batch, frames).float().numpy()
    z = np.random.default_rng(0).normal(size=(batch, 1, frames * HOP)).astype(np.float32)
    (found,) = session.run(None, {"noise": z, "log_mel": mel})
    np.testing.assert_allclose(found, expected(folder, z, mel), rtol=1e-5, atol=1e-5)
    described = session.get_modelmeta().custom_metadata_map
    assert json.loads(described["mel"]).items() >= MEL.items()
    assert described["noise"] == "gaussian"


def test_a_voice_equals_the_student(tmp_path: Path) -> None:
    config = dataclasses.replace(VOICED_STUDENT, filter_order=5)
    make_student(config=config).float().save_pretrained(tmp_path / "student", {"mel": MEL})
    export(tmp_path / "student", "onnx", tmp_path / "whole.onnx")
    session = session_of(tmp_path / "whole.onnx")
    for frames in (2, FRAMES):
        mel = make_mel(1, frames).float().numpy()
        z = np.random.default_rng(0).normal(size=(1, 1, frames * HOP)).astype(np.float32)
        (found,) = session.run(None, {"noise": z, "log_mel": mel})
        np.testing.assert_allclose(found, expected(tmp_path, z, mel), rtol=1e-4, atol=1e-4)


def test_a_stream_of_a_voice_joins_to_the_whole(tmp_path: Path) -> None:
    config = dataclasses.replace(VOICED_STUDENT, filter_order=5)
    make_student(config=config).float().save_pretrained(tmp_path / "student", {"mel": MEL})
    export(tmp_path / "student", "onnx", tmp_path / "stream.onnx", stream=True)
    check_stream(tmp_path, 1, [(0, 2), (2, 4), (4, FRAMES)], 1e-4)


def test_controls_are_inputs(tmp_path: Path) -> None:
    config = dataclasses.replace(VOICED_STUDENT, filter_order=5)
    make_student(config=config).float().save_pretrained(tmp_path / "student", {"mel": MEL})
    export(tmp_path / "student", "onnx", tmp_path / "whole.onnx", controls=True)
    session = session_of(tmp_path / "whole.onnx")
    assert session.get_modelmeta().custom_metadata_map["breath"] == "1.0"
    mel, student = make_mel(1, FRAMES).float(), Student.from_pretrained(tmp_path / "student")
    z = torch.randn(1, 1, FRAMES * HOP)
    for semitones, breath in [(0.0, 1.0), (4.0, 0.25), (-7.0, 0.5)]:
        student.set_pitch_shift(semitones)
        student.set_breath(breath)
        controls = {"pitch_shift": [[semitones]], "breath": [[breath]]}
        inputs = {name: np.array(value, np.float32) for name, value in controls.items()}
        (found,) = session.run(None, {"noise": z.numpy(), "log_mel": mel.numpy(), **inputs})
        with torch.no_grad():
            waveform = student(z, mel).waveform.numpy()
        np.testing.assert_allclose(found, waveform, rtol=1e-4, atol=1e-4)


def test_a_phase_does_not_drift(tmp_path: Path) -> None:
    student = make_student(config=dataclasses.replace(VOICED_STUDENT, pitch=True)).float()
    pitch = {"kind": "yin", "fmin_hz": 20.0, "fmax_hz": 100.0}
    student.save_pretrained(tmp_path / "student", {"mel": MEL, "pitch": pitch})
    export(tmp_path / "student", "onnx", tmp_path / "whole.onnx")
    frames = 20_000  # a duration in which an error of 5e-8 of the pitch would be heard
    given = torch.tensor([[[5.0], [1.0]]])  # 2 ** 5 Hz, voiced
    mel = torch.cat([make_mel(1, 1).float(), given], 1).expand(1, MELS + 2, frames)
    z = torch.randn(1, 1, frames * HOP)
    session = session_of(tmp_path / "whole.onnx")
    (found,) = session.run(None, {"noise": z.numpy(), "log_mel": mel.numpy()})
    whole = expected(tmp_path, z.numpy(), mel.numpy())
    np.testing.assert_allclose(found[..., -800:], whole[..., -800:], rtol=0, atol=1e-3)


def test_a_stream_joins_to_the_whole(folder: Path) -> None:
    check_stream(folder, 2, [(0, 1), (1, 3), (3, FRAMES)], 1e-5)


def check_stream(folder: Path, batch: int, chunks: list[tuple[int, int]], within: float) -> None:
    session = session_of(folder / "stream.onnx")
    described = session.get_modelmeta().custom_metadata_map
    margin, size = int(described["context_margin"]), int(described["state_size"])
    mel = make_mel(batch, FRAMES).float()
    around = F.pad(mel, (margin, margin), mode="replicate").numpy()
    z = np.random.default_rng(0).normal(size=(batch, 1, FRAMES * HOP)).astype(np.float32)
    state, pieces = np.zeros((batch, size), np.float32), []
    for start, stop in chunks:
        inputs = {"noise": z[..., start * HOP : stop * HOP], "state": state}
        inputs["log_mel"] = around[..., start : stop + 2 * margin]
        piece, state = session.run(["waveform", "next_state"], inputs)
        pieces.append(piece)
    found = np.concatenate(pieces, -1)
    whole = expected(folder, z, mel.numpy())
    np.testing.assert_allclose(found, whole, rtol=within, atol=within)


@pytest.mark.parametrize(
    ("example", "model"), [("onnx_vocoder", "whole"), ("onnx_stream", "stream")]
)
def test_the_examples_draw_it_without_this_project(
    folder: Path, tmp_path: Path, example: str, model: str
) -> None:
    mel = make_mel(1, FRAMES).float().numpy()
    np.save(tmp_path / "mel.npy", mel[0])
    script, out = EXAMPLES / f"{example}.py", tmp_path / "out.wav"
    assert not any(word in script.read_text() for word in ("flows", "student import", "torch"))
    words = [sys.executable, script, folder / f"{model}.onnx", tmp_path / "mel.npy", out]
    subprocess.run(words, check=True, cwd=tmp_path)
    z = np.random.default_rng(0).normal(size=(1, 1, FRAMES * HOP)).astype(np.float32)
    found, sample_rate = soundfile.read(out)
    assert sample_rate == MEL["sample_rate"]
    clipped = expected(folder, z, mel)[0, 0].clip(-1, 1)
    np.testing.assert_allclose(found, clipped, atol=1.1 / 32768)


def test_the_benchmark_times_what_is_installed() -> None:
    student, mel = (
        make_student().float(),
        MelConfig(num_mels=MELS, hop_length=HOP, n_fft=32, win_length=32),
    )
    systems = {system.name: system for system in peer_systems(student, make_mel(1).float(), mel)}
    exported = systems["student, exported to ONNX"]
    assert exported.flops == student_flops(STUDENT)
    (waveform,) = exported.draw()
    assert waveform.shape == (1, 1, exported.num_samples)
    assert systems["world, analysis and synthesis"].threads == 1
