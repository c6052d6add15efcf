"""The page's folder is whole, and what cannot be on it is said."""

import dataclasses
import json
import subprocess
import sys
import urllib.request
from importlib import resources
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import soundfile

from flows import ArtefactError
from pipelines.demo import site
from pipelines.demo.site import write_site
from storage.overwriting import OverwriteError
from student import StudentConfig
from tests.models import HOP, MELS, STUDENT, VOICED_STUDENT, make_student, make_teacher

MEL = {"num_mels": MELS, "hop_length": HOP, "n_fft": 32, "win_length": 32, "sample_rate": 16000}


@pytest.fixture(autouse=True)
def _small_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "runtime_files", lambda: {"ort.js": b"js", "ort.wasm": b"wasm"})


def save(config: StudentConfig, folder: Path, mel: dict[str, int] = MEL) -> Path:
    make_student(config=config).float().save_pretrained(folder, {"mel": mel})
    return folder


@pytest.mark.parametrize("config", [STUDENT, VOICED_STUDENT], ids=["plain", "voiced"])
def test_the_folder_is_whole(config: StudentConfig, tmp_path: Path) -> None:
    model, example = save(config, tmp_path / "mine"), tmp_path / "speech.flac"
    soundfile.write(example, np.sin(np.arange(1000)) / 2, 8000)
    page = write_site(model, tmp_path / "site", example)
    found = {str(path.relative_to(page.parent)) for path in page.parent.rglob("*")}
    web = {file.name for file in resources.files("pipelines.demo").joinpath("web").iterdir()}
    runtime = {"runtime/ort.js", "runtime/ort.wasm"}
    assert found >= web | runtime | {"student/stream.onnx", "student/student.json", "example.wav"}
    assert soundfile.info(page.parent / "example.wav").samplerate == 16000
    described = json.loads((page.parent / "student/student.json").read_text())
    assert described["name"] == "mine"
    assert described["mel"].items() >= MEL.items()
    session = onnxruntime.InferenceSession(page.parent / "student/stream.onnx")
    shapes = {value.name: value.shape for value in session.get_inputs()}
    assert shapes["state"][1] == described["state_size"]
    has_voice = config is VOICED_STUDENT
    assert described["controls"] == has_voice == ("pitch_shift" in shapes)
    assert described["breath"] == (1.0 if has_voice else None)
    assert session.get_modelmeta().custom_metadata_map.get("breath") == (
        "1.0" if has_voice else None
    )


def test_an_earlier_example_is_not_published_and_a_page_of_the_users_stays(tmp_path: Path) -> None:
    model, example = save(STUDENT, tmp_path / "mine"), tmp_path / "speech.flac"
    soundfile.write(example, np.sin(np.arange(1000)) / 2, 8000)
    write_site(model, tmp_path / "site", example)
    write_site(model, tmp_path / "site")
    assert not (tmp_path / "site" / "example.wav").exists()
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "index.html").write_text("my own")
    with pytest.raises(OverwriteError, match="web is not marked as a folder of this program's"):
        write_site(model, tmp_path / "web")
    assert [path.name for path in (tmp_path / "web").iterdir()] == ["index.html"]


def test_nothing_on_the_page_comes_from_elsewhere() -> None:
    for file in resources.files("pipelines.demo").joinpath("web").iterdir():
        assert "//" not in "".join(
            line.partition("// ")[0] for line in file.read_text().splitlines()
        ), file.name


def test_a_student_that_needs_more_than_the_log_mel_is_refused(tmp_path: Path) -> None:
    given = dataclasses.replace(VOICED_STUDENT, pitch=True)
    with pytest.raises(ArtefactError, match="is given the pitch, expected a student"):
        write_site(save(given, tmp_path / "given"), tmp_path / "site")
    speakers = dataclasses.replace(STUDENT, num_speakers=2)
    with pytest.raises(ArtefactError, match="is given a speaker"):
        write_site(save(speakers, tmp_path / "speakers"), tmp_path / "site")
    odd = save(STUDENT, tmp_path / "odd", MEL | {"n_fft": 36})
    with pytest.raises(ArtefactError, match="an n_fft of 36, which is no power of 2"):
        write_site(odd, tmp_path / "site")
    make_teacher().float().save_pretrained(tmp_path / "teacher", {"mel": MEL})
    with pytest.raises(ArtefactError, match="expected a student, got a teacher"):
        write_site(tmp_path / "teacher", tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_serve_serves_it_until_interrupted(tmp_path: Path) -> None:
    model = save(STUDENT, tmp_path / "mine")
    program = (
        "import sys, pipelines.demo.site as site; from pipelines.cli import main;"
        "site.runtime_files = lambda: {'ort.js': b'js'}; sys.exit(main())"
    )
    words = ["demo", "--model", model, "--out", tmp_path / "site", "--serve", "--port", "0"]
    with subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip().endswith("index.html")
        url = process.stdout.readline().split()[0]
        with urllib.request.urlopen(f"{url}student/student.json") as answer:
            assert json.loads(answer.read())["name"] == "mine"
        process.terminate()
        assert process.wait(30) == 143
