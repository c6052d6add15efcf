"""Files from elsewhere: they run nothing, open nothing, and are refused in one line."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from data import AudioError, read_waveform, synthesise
from flows import ArtefactError
from pipelines.cli import main
from pipelines.commands import train as commands
from pipelines.generation.input_errors import InputError
from pipelines.generation.waveforms import generate
from student import Student
from teacher import Teacher
from tests.models import make_teacher
from tests.pipelines.conftest import RECIPE

LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{now}: &{now} [{','.join([f'*{before}'] * 9)}]\n"
    for before, now in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: !!python/object/apply:os.system ['touch MARK']\n", "could not determine a constr"),
        (
            "class_path: os.system\ninit_args: {command: 'touch MARK'}\n",
            "Importing 'os.system' is not allowed",
        ),
        (
            "teacher: {class_path: os.system, init_args: {command: 'touch MARK'}}\n",
            "Importing 'os.system' is not allowed",
        ),
        (f"{LAUGHS}name: *i\n", "line 2 has the alias *a: write the value out"),
        ("name: " + "[" * 3000 + "]" * 3000, "line 1 is nested more than 20 deep"),
        ("name: " + "x" * 200_000, "has 200006 characters, expected at most 100000"),
        ("name: " + "[x, " * 10 + "]" * 10, "recipe.yaml: name is ["),
        ("name: ../../elsewhere\n", "name is '../../elsewhere', expected the name of a folder"),
        ("name: ..\n", "name is '..', expected the name of a folder"),
        ("teacher_training: {learning_rate: .inf}\n", "learning_rate is inf, expected > 0"),
        ("\0", "recipe recipe.yaml: unacceptable character #x0000: special characters are not"),
        ("name: a\nseed: 1\nname: b\n", "recipe.yaml: line 3 gives name, which line 1 has given"),
        ("teacher: {wavenet: {num_layers: 2, num_layers: 3}}\n", "line 1 gives num_layers, which"),
        ("name: [a\n", "recipe recipe.yaml: while parsing a flow sequence"),
        ("teacher_training: true\n", "teacher_training is True, expected a group of values"),
        ("teacher: {wavenet: [3]}\n", "teacher.wavenet is [3], expected a group of values"),
    ],
)
def test_a_hostile_recipe_is_refused_in_one_line(
    tmp_path: Path,
    text: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text(text.replace("MARK", str(tmp_path / "mark")))
    assert main(["prepare", "--recipe", "recipe.yaml"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert len(error) < 1200
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


@pytest.mark.parametrize(
    "text", ["class_path: hostile.Recipe\n", "teacher: hostile.Teacher\n", "name: hostile.name\n"]
)
def test_a_recipe_imports_nothing(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "hostile.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')\nname = 'x'\n")
    (tmp_path / "recipe.yaml").write_text(text + "data: {corpus: nowhere}\n")
    assert main(["prepare", "--recipe", str(tmp_path / "recipe.yaml")]) == 2
    assert not (tmp_path / "mark").exists()


@pytest.fixture
def listener() -> socket.socket:
    """A server that nobody should call."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        yield server


@pytest.mark.parametrize("suffix", [".m4a", ".mka", ".aac", ".wma", ".ac3", ".amr", ".mp4"])
@pytest.mark.parametrize("kind", ["playlist", "session", "concat"])
def test_audio_that_names_other_files_opens_none(
    tmp_path: Path, listener: socket.socket, suffix: str, kind: str
) -> None:
    port = listener.getsockname()[1]
    (secret,) = synthesise(tmp_path, num_utterances=1)
    texts = {
        "playlist": f"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:{port}/a.aac\n#EXTINF:1,\n{secret}\n",
        "session": f"v=0\nc=IN IP4 127.0.0.1\nm=audio {port} RTP/AVP 0\n",
        "concat": f"ffconcat version 1.0\nfile '{secret}'\n",
    }
    path = tmp_path / f"a{suffix}"
    path.write_text(texts[kind])
    with pytest.raises(AudioError, match=f"a{suffix}"):
        read_waveform(path, 16000)
    with pytest.raises(TimeoutError):
        listener.accept()
    assert threading.active_count() < 20


def test_audio_that_claims_more_samples_than_it_has_takes_no_memory(tmp_path: Path) -> None:
    import soundfile

    path = tmp_path / "a.flac"
    soundfile.write(path, 0.1 * np.sin(np.arange(8000.0)), 16000)
    content = bytearray(path.read_bytes())
    content[21:26] = b"\xff" * 5  # 2^36 samples, as STREAMINFO counts them
    path.write_bytes(content)
    with pytest.raises(AudioError, match="unreadable audio"):
        read_waveform(path, 16000)


def test_audio_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = synthesise(tmp_path, num_utterances=1)
    monkeypatch.setattr("data.audio.decoding._MAX_SAMPLES", 20000)
    with pytest.raises(AudioError, match="more than 20000 samples: cut it into shorter files"):
        read_waveform(path, 16000)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("context_channels", 10**9),
        ("context_channels", 10**30),
        ("num_mels", 10**12),
        ("num_mels", 10**7),
        ("context_margin", 10**9),
        ("log_scale_floor", float("nan")),
        ("log_scale_floor", float("inf")),
        ("wavenet", {"num_layers": 10**9}),
        ("wavenet", {"num_layers": 900, "residual_channels": 65536}),
        ("wavenet", {"layers_per_cycle": 10**6, "num_layers": 1000}),
        ("wavenet", {"prediction_order": 10**9}),
    ],
)
def test_a_model_that_asks_for_too_much_is_refused(
    tmp_path: Path, field: str, value: object
) -> None:
    make_teacher().float().save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    described = json.loads(path.read_text())
    described["config"][field] = value
    path.write_text(json.dumps(described))
    with pytest.raises(ArtefactError, match=r"config\.json: config: ") as caught:
        Teacher.from_pretrained(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_deeply_nested_description_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"a":' * 100_000)
    with pytest.raises(ArtefactError, match=r"config\.json: cannot be read"):
        Teacher.from_pretrained(tmp_path)


@pytest.mark.parametrize("mel", [None, 3, {"hop_length": "long"}, {"n_fft": 10**12}, {"x": 1}])
def test_a_models_mel_convention_is_checked(
    trained: Path, dump: Path, tmp_path: Path, mel: object
) -> None:
    shutil.copytree(trained / "teacher", tmp_path / "teacher")
    path = tmp_path / "teacher" / "config.json"
    described = json.loads(path.read_text())
    described["metadata"]["mel"] = mel
    path.write_text(json.dumps(described))
    with pytest.raises(ArtefactError, match=r"config\.json: metadata\.mel|config\.json: .*MelCon"):
        commands.distill(RECIPE, dump=dump, exp=tmp_path / "exp", teacher=tmp_path / "teacher")


def test_weights_of_another_type_are_refused(tmp_path: Path) -> None:
    make_teacher().save_pretrained(tmp_path)  # in float64
    with pytest.raises(ArtefactError, match=r"of float64, expected .* of float32"):
        Teacher.from_pretrained(tmp_path)


def test_weights_swapped_for_another_models_are_refused(tmp_path: Path) -> None:
    for seed in (0, 1):
        make_teacher(seed).float().save_pretrained(tmp_path / str(seed))
    shutil.copy(tmp_path / "1" / "model.safetensors", tmp_path / "0")
    with pytest.raises(ArtefactError, match="damaged, or of another model"):
        Teacher.from_pretrained(tmp_path / "0")


def test_inputs_with_one_output_name_are_refused(trained: Path, tmp_path: Path) -> None:
    (path,) = synthesise(tmp_path / "in", num_utterances=1, seconds=0.1)
    np.save(path.with_suffix(".npy"), np.zeros((80, 3), np.float32))
    with pytest.raises(InputError, match=r"clip_000\.wav: would get the same name as .*000\.npy"):
        generate(trained / "student", tmp_path / "in", tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_building_a_model_outside_a_load_is_not_limited(tmp_path: Path) -> None:
    make_teacher().float().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(
        (tmp_path / "config.json")
        .read_text()
        .replace('"context_channels": 6', '"context_channels": 60')
    )
    with pytest.raises(ArtefactError, match="describes a larger model than the weights are of"):
        Teacher.from_pretrained(tmp_path)
    assert isinstance(torch.nn.Linear(1000, 1000).weight, torch.nn.Parameter)
    assert isinstance(Student, type)
