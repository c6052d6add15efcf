"""Evaluation: its measures, its intervals, and the command on every source of utterances."""

import json
import math
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
from pipelines.evaluation.bootstrap import bootstrap_mean
from pipelines.evaluation.distances import (
    frame_lines,
    level_ratio,
    mel_cepstral_distortion,
    pitch_errors,
)
from pipelines.evaluation.evaluated_models import load_models, student_names
from pipelines.evaluation.measure import MEASURES
from pipelines.evaluation.packages import PACKAGES
from pipelines.evaluation.table import cell
from pipelines.heldout import student_following, teacher_nll
from pipelines.workspace import held_out
from student import Student
from teacher import Teacher

MEL = MelConfig()


@pytest.fixture(autouse=True)
def _without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same tests whether or not the packages are there; tests/extras.sh tests them."""
    monkeypatch.setattr(command, "missing_packages", lambda: list(PACKAGES))


def noise(seconds: float = 1.0, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(1, 1, int(16000 * seconds), generator=generator)


def test_distortion_of_a_gain_is_nothing_and_of_a_tilt_its_decibels() -> None:
    x = noise()
    assert mel_cepstral_distortion(x, x, MEL) == 0
    assert mel_cepstral_distortion(3 * x, x, MEL) == pytest.approx(0, abs=1e-3)
    # A log-spectrum that differs by a cos(π (k + ½) / M) has c_1 = a and no other coefficient.
    from data import log_mel
    from pipelines.evaluation import distances

    bands = MEL.num_mels
    ripple = 0.5 * torch.cos(math.pi * (torch.arange(bands) + 0.5) / bands)
    plain = log_mel(x.double(), MEL)[0]
    frames = iter([plain + ripple[:, None], plain])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distances, "_log_magnitudes", lambda *_: next(frames))
        found = mel_cepstral_distortion(x, x, MEL)
    assert found == pytest.approx(10 / math.log(10) * math.sqrt(2) * 0.5)


def test_distortion_counts_spoken_frames_only() -> None:
    x = noise()
    x[..., :8000] = 0
    y = x.clone()
    y[..., :7000] += 1e-4 * noise()[..., :7000]
    assert mel_cepstral_distortion(y, x, MEL) == pytest.approx(0, abs=1e-6)
    assert mel_cepstral_distortion(x, torch.zeros_like(x), MEL) is None


def test_pitch_errors_leave_octaves_to_their_own_measure() -> None:
    recording = np.array([0.0, 100.0, 100.0, 100.0, 100.0, 0.0, 0.0, 100.0])
    semitone = 100.0 * 2 ** (1 / 12)
    sample = np.array([0.0, semitone, semitone, 200.0, 50.0, 120.0, 0.0, 0.0])
    errors = pitch_errors(sample, recording)
    assert errors["f0_rmse_cents"] == pytest.approx(100)
    assert errors["f0_octave_errors"] == 0.5
    assert errors["voicing_error"] == 0.25


def test_pitch_errors_without_voiced_frames_are_none() -> None:
    errors = pitch_errors(np.zeros(4), np.array([0.0, 100.0, 100.0, 0.0]))
    assert errors == {"f0_rmse_cents": None, "f0_octave_errors": None, "voicing_error": 0.5}


def test_the_level_is_a_ratio() -> None:
    x = noise()
    assert level_ratio(0.5 * x, x) == pytest.approx(0.5)


def test_lines_stand_out_at_the_frame_rate_alone() -> None:
    x = noise().repeat(1, 1, 4)
    assert frame_lines(x, 64) == pytest.approx(0, abs=0.6)
    pattern = torch.randn(64, generator=torch.Generator().manual_seed(1))
    lined = x + 0.5 * x.std() * pattern.repeat(x.shape[-1] // 64)
    found = frame_lines(lined, 64)
    assert found is not None
    assert found > 5
    other = frame_lines(lined, 50)
    assert other is not None
    assert abs(other) < 2
    assert frame_lines(x, 1) is None
    assert frame_lines(x[..., :900], 64) is None


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(300):
        interval = bootstrap_mean(rng.normal(1.0, 2.0, 40), seed=trial)
        covered += interval.low <= 1.0 <= interval.high
    assert 0.9 <= covered / 300 <= 0.98


def test_the_mean_is_weighted_and_the_seed_decides() -> None:
    interval = bootstrap_mean([1.0, 4.0], [3.0, 1.0], seed=1)
    assert interval.mean == pytest.approx(1.75)
    assert (interval.low, interval.high, interval.num) == (1.0, 4.0, 2)
    values = np.random.default_rng(0).normal(size=9)
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1)
    assert bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)
    assert bootstrap_mean([2.0]).low == bootstrap_mean([2.0]).high == 2.0


def test_no_values_have_no_mean() -> None:
    with pytest.raises(ValueError, match="got 0 values"):
        bootstrap_mean([])


def test_students_get_names_of_their_own() -> None:
    assert student_names([Path("e/a/student")]) == ["student"]
    assert student_names([Path("e/kl"), Path("e/full")]) == ["kl", "full"]
    assert student_names([Path("e/teacher")]) == ["teacher e"]
    assert student_names([Path("e/student"), Path("e/student")]) == ["student 1", "student 2"]


def test_small_negative_numbers_are_not_minus_nothing() -> None:
    measure = next(m for m in MEASURES if m.key == "mcd_db")
    assert cell(measure, {"mean": -1e-9, "low": -1e-9, "high": 0.0}) == "0.00"


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
    evaluate(trained / "teacher", trained / "student", dump, seed=3, out=tmp_path, device="cpu")
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
        # Not equal: here the sample is rounded to 16 bits, and the recording not dithered.
        assert found[key]["mean"] == pytest.approx(following[key], rel=0.02)


def test_every_so_manieth_utterance_comes_before_the_limit(dump: Path) -> None:
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


def test_what_an_evaluation_left_in_the_folder_is_no_recording(
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


def test_models_share_a_mel_convention(trained: Path, tmp_path: Path) -> None:
    model = Student.from_pretrained(trained / "student")
    other = model.metadata["mel"] | {"fmin_hz": 50.0}
    model.save_pretrained(tmp_path, model.metadata | {"mel": other})
    with pytest.raises(ValueError, match=r"fmin_hz is 50\.0"):
        load_models(trained / "teacher", [tmp_path], "cpu")
