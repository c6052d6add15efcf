"""The evaluation and its command, on every source of utterances."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from data import Manifest, MelConfig, synthesise, write_waveform
from pipelines.cli import main
from pipelines.commands import evaluate as command
from pipelines.commands.evaluate import evaluate
from pipelines.evaluation import evaluation_table
from pipelines.evaluation.packages import PACKAGES
from pipelines.heldout import student_following, teacher_nll
from pipelines.workspace import held_out
from student import Student
from teacher import Teacher

MEL = MelConfig()


@pytest.fixture(autouse=True)
def _without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that the extra's packages are missing; tests/extras.sh tests them."""
    monkeypatch.setattr(command, "missing_packages", lambda: list(PACKAGES))


def test_every_system_is_measured_on_prepared_data(
    dump: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", "--teacher", str(trained / "teacher")]
    words += ["--student", str(trained / "student"), "--dump", str(dump), "--device", "cpu"]
    words += ["--systems", "[recording,griffin-lim,world,teacher,student]"]
    words += ["--limit", "2", "--max_seconds", "0.2", "--out", str(tmp_path)]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "oracle linear predictor" in shown
    for name in PACKAGES:
        assert name in shown
    assert "./setup.sh --extras eval" in shown
    result = json.loads((tmp_path / "evaluation.json").read_text())
    assert list(result["systems"]) == ["recording", "griffin-lim", "teacher", "student"]
    recording = result["systems"]["recording"]
    for key in ("mcd_db", "log_mel_distance", "spectral_convergence", "log_magnitude"):
        assert recording[key]["mean"] == 0
    assert recording["level_ratio"]["mean"] == 1
    assert not {"pesq_wb", "estoi", "f0_rmse_cents", "voicing_error", "distillmos"} & set(recording)
    assert recording["nll_nats"]["mean"] == result["likelihood"]["nats"]["teacher"]
    assert set(result["systems"]["student"]) - set(recording) == {
        "kl_nats",
        "following_ratio",
        "peak",
    }
    for utterance in result["utterances"]:
        for system in result["systems"]:
            audio, rate = soundfile.read(tmp_path / "audio" / system / f"{utterance['name']}.wav")
            assert rate == 16000
            assert len(audio) == round(utterance["seconds"] * rate) == 12 * 256
    assert (tmp_path / "evaluation.md").read_text().strip() == evaluation_table(result)
    assert (tmp_path / "evaluation.png").read_bytes().startswith(b"\x89PNG")


def test_means_agree_with_the_pooled_measures(dump: Path, trained: Path, tmp_path: Path) -> None:
    models = (trained / "teacher", trained / "student")
    evaluate(*models, dump, seed=3, out=tmp_path, device="cpu", equalise=False)
    result = json.loads((tmp_path / "evaluation.json").read_text())
    utterances = held_out(Manifest.load(dump), "test", None, "cpu")
    teacher = Teacher.from_pretrained(trained / "teacher")
    assert result["likelihood"]["nats"]["teacher"] == pytest.approx(
        teacher_nll(teacher, utterances)
    )
    nats = result["likelihood"]["nats"]
    assert nats["oracle_lpc_256"] < nats["oracle_lpc_1024"] < nats["frame_energy_1024"]
    student = Student.from_pretrained(trained / "student")
    following = student_following(student, utterances, MEL, seed=3)
    found = result["systems"]["student"]
    for key in ("log_mel_distance", "following_ratio"):
        # Not equal, because here the sample is rounded to 16 bits, and the recording has no dither.
        assert found[key]["mean"] == pytest.approx(following[key], rel=0.02)


def test_models_are_heard_through_the_equaliser(dump: Path, trained: Path, tmp_path: Path) -> None:
    found = {}
    for equalise in (True, False):
        out = tmp_path / str(equalise)
        models = (trained / "teacher", trained / "student")
        evaluate(*models, dump, out=out, device="cpu", equalise=equalise)
        found[equalise] = json.loads((out / "evaluation.json").read_text())["systems"]
    for name in ("teacher", "student"):
        after, before = found[True][name], found[False][name]
        closer = after["log_mel_distance"]["mean"] / before["log_mel_distance"]["mean"]
        assert closer < 0.7
    assert found[True]["student"]["kl_nats"] == found[False]["student"]["kl_nats"]
    assert found[True]["recording"] == found[False]["recording"]


def test_every_nth_utterance_is_taken_before_the_limit(dump: Path) -> None:
    manifest = Manifest.load(dump)
    names = [u.name for u in held_out(manifest, "train", None, "cpu")]
    assert [u.name for u in held_out(manifest, "train", 2, "cpu", every=3)] == names[:6:3]


def test_the_seed_decides_the_result(dump: Path, trained: Path, tmp_path: Path) -> None:
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        evaluate(student=trained / "student", dump=dump, seed=seed, limit=1, out=tmp_path / folder)
    texts = [(tmp_path / name / "evaluation.json").read_bytes() for name in "abc"]
    assert texts[0] == texts[1] != texts[2]


def test_a_folder_of_audio_is_evaluated_and_bad_files_are_named(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new voices"
    synthesise(folder, num_utterances=1, seconds=0.4, sample_rate=22050)
    synthesise(folder / "sub", num_utterances=1, seconds=0.4)
    (folder / "broken.wav").write_bytes(b"RIFF not audio")
    write_waveform(folder / "short.wav", np.linspace(-0.1, 0.1, 100), 16000)
    evaluate(student=trained / "student", input=folder, out=tmp_path / "out", device="cpu")
    shown = capsys.readouterr().out
    assert "broken.wav: unreadable audio" in shown
    assert "short.wav: shorter than one frame of 256 samples" in shown
    result = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert [u["name"] for u in result["utterances"]] == ["clip_000", "sub/clip_000"]
    assert len(result["left_out"]["files"]) == 2
    assert "likelihood" not in result
    assert (tmp_path / "out" / "audio" / "student" / "sub" / "clip_000.wav").exists()


def test_audio_of_an_earlier_evaluation_is_not_evaluated(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    synthesise(tmp_path, num_utterances=1, seconds=0.3)
    for out in (tmp_path, tmp_path / "evaluation"):
        for _ in range(2):
            evaluate(student=trained / "student", input=tmp_path, out=out, device="cpu")
        result = json.loads((out / "evaluation.json").read_text())
        assert [u["name"] for u in result["utterances"]] == ["clip_000"]
        assert "audio: made by this program" in capsys.readouterr().out


def test_clips_of_a_frame_and_of_digital_silence_have_finite_measures(
    trained: Path, tmp_path: Path
) -> None:
    write_waveform(tmp_path / "v" / "19 ms.wav", 0.1 * np.sin(np.arange(304)), 16000)
    write_waveform(tmp_path / "v" / "late.wav", np.r_[np.zeros(800), np.full(800, 0.1)], 16000)
    out = tmp_path / "out"
    evaluate(
        trained / "teacher",
        trained / "student",
        input=tmp_path / "v",
        max_seconds=0.02,
        out=out,
        device="cpu",
    )
    result = json.loads((out / "evaluation.json").read_text(), parse_constant=pytest.fail)
    for utterance in result["utterances"]:
        for system, values in utterance["systems"].items():
            assert all(np.isfinite(value) for value in values.values()), (system, values)
    assert "level_ratio" not in result["utterances"][1]["systems"]["recording"]


def test_files_that_differ_in_suffix_alone_stay_apart(trained: Path, tmp_path: Path) -> None:
    from pipelines.evaluation.recordings import recordings_in

    (wav,) = synthesise(tmp_path, num_utterances=1, seconds=0.3)
    write_waveform(wav.with_suffix(".flac"), soundfile.read(wav)[0], 16000)
    found = recordings_in(tmp_path, MEL, None, torch.device("cpu"))
    assert [u.name for u in found.utterances] == ["clip_000", "clip_000.wav"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected either --dump or --input, got neither"),
        (["--dump", "d", "--input", "i"], "expected either --dump or --input, got both"),
        (["--input", "."], "--input needs a --teacher or a --student"),
        (["--dump", "nowhere"], "nowhere"),
        (["--student", "TEACHER", "--dump", "DUMP"], "kind is 'teacher', expected 'student'"),
        (["--teacher", "STUDENT", "--dump", "DUMP"], "kind is 'student', expected 'teacher'"),
        (["--dump", "DUMP", "--systems", "teacher"], "but no --teacher is given"),
        (["--dump", "DUMP", "--systems", "world"], "nothing is left that is installed"),
        (["--student", "STUDENT", "--input", "EMPTY"], "no usable audio file"),
        (["--dump", "DUMP", "--limit", "0"], "limit is 0, expected at least 1"),
        (["--dump", "DUMP", "--every", "0"], "every is 0, expected at least 1"),
        (
            ["--input", "EMPTY", "--every", "2"],
            "every is 2, expected at least 1, and 1 with --input",
        ),
        (["--dump", "DUMP", "--max_seconds", "-1"], "max_seconds is -1.0, expected a finite"),
    ],
)
def test_mistakes_are_told_in_one_line(
    words: list[str],
    message: str,
    dump: Path,
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {"TEACHER": trained / "teacher", "STUDENT": trained / "student", "DUMP": dump}
    places["EMPTY"] = tmp_path
    words = [str(places.get(word, word)) for word in words]
    assert main(["evaluate", *words, "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
