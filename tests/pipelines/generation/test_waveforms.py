"""Generation from audio and mel: seeds, clipping and errors."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from data import MelConfig, log_mel, read_waveform, synthesise
from flows.engines.cpu.instructions.intrinsics import MULTIPLIES_PAIRS
from pipelines.cli import main
from pipelines.generation.input_errors import InputError
from pipelines.generation.waveforms import generate
from student import Student


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speech")
    synthesise(folder, num_utterances=2, seconds=0.4)
    synthesise(folder / "sub", num_utterances=1, seconds=0.3, sample_rate=22050)
    return folder


def test_a_folder_is_generated_file_by_file(trained: Path, speech: Path, tmp_path: Path) -> None:
    written = generate(trained / "student", speech, tmp_path, device="cpu")
    names = sorted(p.relative_to(speech).as_posix() for p in speech.rglob("*.wav"))
    assert sorted(item.path.relative_to(tmp_path).as_posix() for item in written) == names
    for item in written:
        info = soundfile.info(item.path)
        assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
        recording = read_waveform(item.source, 16000)
        assert 0 <= info.frames - len(recording) < 256


def test_the_seed_decides_each_file_alone(trained: Path, speech: Path, tmp_path: Path) -> None:
    model = trained / "student"
    first = generate(model, speech, tmp_path / "a", device="cpu", seed=1)
    alone = generate(model, first[0].source, tmp_path / "b", device="cpu", seed=1)
    other = generate(model, speech, tmp_path / "c", device="cpu", seed=2)
    assert first[0].path.read_bytes() == alone[0].path.read_bytes()
    assert first[0].path.read_bytes() != other[0].path.read_bytes()


def test_a_saved_mel_gives_the_audios_waveform(trained: Path, speech: Path, tmp_path: Path) -> None:
    source = sorted(speech.glob("*.wav"))[0]
    waveform = read_waveform(source, 16000)
    padded = torch.from_numpy(np.pad(waveform, (0, -len(waveform) % 256)))[None, None]
    mel = tmp_path / f"{source.stem}.npy"
    np.save(mel, log_mel(padded, MelConfig())[0].numpy())
    student = Student.from_pretrained(trained / "student")
    assert student.metadata["mel"]["num_mels"] == 80
    (from_mel,) = generate(trained / "student", mel, tmp_path / "mel", device="cpu")
    assert from_mel.seconds == padded.shape[-1] / 16000
    assert soundfile.read(from_mel.path)[0].std() > 0


def test_the_equaliser_brings_the_log_mel_closer(
    trained: Path, speech: Path, tmp_path: Path
) -> None:
    source = sorted(speech.glob("*.wav"))[0]
    recording = torch.from_numpy(read_waveform(source, 16000))[None, None]
    frames = recording.shape[-1] // 256
    wanted = log_mel(recording, MelConfig())
    distances = {}
    for equalise in (True, False):
        out = tmp_path / str(equalise)
        (item,) = generate(trained / "student", source, out, device="cpu", equalise=equalise)
        drawn = torch.from_numpy(read_waveform(item.path, 16000))[None, None]
        found = log_mel(drawn, MelConfig())[..., :frames]
        distances[equalise] = float((found - wanted).abs().mean())
    assert distances[True] < 0.7 * distances[False]


def test_flac_holds_the_same_samples(trained: Path, speech: Path, tmp_path: Path) -> None:
    source = sorted(speech.glob("*.wav"))[0]
    (wav,) = generate(trained / "student", source, tmp_path, device="cpu")
    (flac,) = generate(trained / "student", source, tmp_path, device="cpu", format="flac")
    assert flac.path.suffix == ".flac"
    np.testing.assert_array_equal(soundfile.read(wav.path)[0], soundfile.read(flac.path)[0])


def test_loud_samples_are_clipped_and_counted_not_rescaled(
    trained: Path, speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = sorted(speech.glob("*.wav"))[0]
    # The equaliser would bring the samples down to the level of their log-mel.
    (item,) = generate(
        trained / "student", source, tmp_path, device="cpu", temperature=100.0, equalise=False
    )
    assert item.num_clipped > 0
    assert np.abs(soundfile.read(item.path)[0]).max() >= 0.999
    assert "clipped" in "".join(capsys.readouterr())


def test_the_teacher_generates_through_the_same_command(
    trained: Path, speech: Path, tmp_path: Path
) -> None:
    source = sorted(speech.glob("*.wav"))[0]
    (item,) = generate(trained / "teacher", source, tmp_path, device="cpu", max_seconds=0.05)
    assert item.seconds == pytest.approx(0.048)


def test_networks_in_bfloat16_draw_nearly_the_same(
    trained: Path, speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = {}
    for precision in ("32-true", "bf16-mixed"):
        out = tmp_path / precision
        written = generate(trained / "student", speech, out, device="cpu", precision=precision)
        drawn[precision] = read_waveform(written[0].path, 16000)
        assert ("bfloat16" in capsys.readouterr().out) == (
            MULTIPLIES_PAIRS and precision == "bf16-mixed"
        )
    error = np.abs(drawn["bf16-mixed"] - drawn["32-true"]).max()
    assert error < 2**-9 * np.abs(drawn["32-true"]).max() + 2**-15


def test_bad_inputs_are_named(trained: Path, tmp_path: Path) -> None:
    model = trained / "student"
    bad = {
        "shape.npy": (np.zeros((79, 10), np.float32), r"shape \(79, 10\), expected \(80, L\)"),
        "integers.npy": (np.zeros((80, 10), np.int32), "holds int32, expected floats"),
        "nan.npy": (np.full((80, 10), np.nan, np.float32), "not finite"),
        "pickle.npy": (np.array([{"a": 1}], object), "objects are never loaded"),
    }
    for name, (array, message) in bad.items():
        np.save(tmp_path / name, array, allow_pickle=True)
        with pytest.raises(InputError, match=message) as caught:
            generate(model, tmp_path / name, tmp_path / "out", device="cpu")
        assert name in str(caught.value)
    (tmp_path / "empty").mkdir()
    for missing in ("empty", "nothing.wav"):
        with pytest.raises(InputError, match=missing):
            generate(model, tmp_path / missing, tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["generate", "--model", "nowhere", "--input", "x.wav", "--out", "o"],
            "nowhere: no such folder",
        ),
        (["generate", "--modle", "m"], "unknown option '--modle' (did you mean '--model'?)"),
        (["prepare", "--recipe", "alison"], "(did you mean 'allison'?)"),
        (
            ["prepare", "--recipe", "tiny", "--recipe.seeed", "3"],
            "unknown option '--recipe.seeed' (did you mean '--recipe.seed'?)",
        ),
        (["prepare", "--recipe.teacher.num_mels", "40"], "teacher.num_mels is 40, but data.mel"),
        (["train-teacher", "--dump", "nowhere"], "nowhere"),
        # A hub's model could have this name.
        (["distill", "--exp", "nowhere"], "nowhere/teacher: no such folder, expected what train-"),
        (["nonsense"], "nonsense"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_recipe_file_with_an_unknown_key_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("teacher:\n  wavenet:\n    num_layer: 3\n")
    assert main(["prepare", "--recipe", str(recipe)]) == 2
    assert "did you mean 'recipe.teacher.wavenet.num_layers'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        "prepare",
        "train-teacher",
        "distill",
        "generate",
        "interpolate",
        "evaluate",
        "benchmark",
        "export",
    ],
)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert "usage: parallel-wavenet" in capsys.readouterr().out
