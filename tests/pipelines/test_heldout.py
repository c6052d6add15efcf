"""Baselines, measures of whole utterances, benchmark and summary."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import scipy.signal
import scipy.stats
import torch

from data import DataError, FeatureMismatch, Manifest, MelConfig
from data.audio.outputs import is_output
from dsp.griffin_lim import griffin_lim
from flows import fold_weight_norm
from flows.engines.cpu.instructions.intrinsics import MULTIPLIES_PAIRS
from pipelines.benchmark.call_costs import peak_megabytes
from pipelines.benchmark.comparison import BenchmarkError, benchmark, benchmark_table
from pipelines.benchmark.flops import student_flops, teacher_flops
from pipelines.benchmark.samplers import naive_sample
from pipelines.cli import main
from pipelines.commands.benchmark import benchmark as benchmark_command
from pipelines.commands.evaluate import evaluate
from pipelines.commands.excerpts import excerpts
from pipelines.frame_gaussians import frame_energy_nll, oracle_lpc_nll
from pipelines.heldout import bits_per_sample, log_mel_distance, shuffled_frames
from pipelines.recipes import recipe_names
from pipelines.report.results import ResultsError
from pipelines.report.summary import summary_of
from teacher import Teacher
from tests.models import FILTERED_STUDENT, HOP, VOICED_STUDENT, make_mel, make_student, make_teacher
from tests.speech import speech

FLOOR = -7.0


def entropy(std: float) -> float:
    return 0.5 * math.log(2 * math.pi * math.e * std**2)


def test_white_noise_costs_its_entropy_under_both_baselines() -> None:
    noise = 0.1 * torch.randn(64 * 1024, generator=torch.Generator().manual_seed(0))
    assert float(frame_energy_nll(noise, 1024, FLOOR).mean()) == pytest.approx(
        entropy(0.1), abs=0.01
    )
    # Twenty-four free coefficients per 1,024 samples gain the oracle about 24 / 2048 nats.
    assert float(oracle_lpc_nll(noise, 1024, FLOOR).mean()) == pytest.approx(
        entropy(0.1) - 24 / 2048, abs=0.01
    )


def test_the_baselines_of_real_speech_equal_scipys() -> None:
    x, order, length = speech()[0, 0].numpy(), 24, 1024
    found = oracle_lpc_nll(torch.from_numpy(x), length, FLOOR, order).numpy()
    energy = frame_energy_nll(torch.from_numpy(x), length, FLOOR).numpy()
    # Least squares over each frame, with known samples before it; silence precedes the first.
    past = scipy.linalg.toeplitz(np.concatenate([[0.0], x[:-1]]), np.zeros(order))
    assert len(found) == len(energy) == len(x) // length
    for n in range(len(found)):
        rows = slice(n * length, (n + 1) * length)
        fit = scipy.linalg.lstsq(past[rows], x[rows])[0]
        error = x[rows] - past[rows] @ fit
        for value, rest in ((found[n], error), (energy[n], x[rows])):
            std = max(np.sqrt(np.mean(rest**2)), np.exp(FLOOR))
            expected = -scipy.stats.norm.logpdf(rest, scale=std).mean()
            assert value == pytest.approx(expected, abs=1e-9)
    assert found.mean() < energy.mean() - 1


def test_the_oracle_finds_an_autoregressive_process() -> None:
    noise = 0.01 * np.random.default_rng(0).standard_normal(64 * 1024)
    x = torch.from_numpy(scipy.signal.lfilter([1.0], [1.0, -1.6, 0.8], noise))
    assert float(frame_energy_nll(x, 1024, FLOOR).mean()) > entropy(0.02)
    assert float(oracle_lpc_nll(x, 1024, FLOOR).mean()) == pytest.approx(entropy(0.01), abs=0.02)


def test_digital_silence_costs_the_floor() -> None:
    silence = torch.zeros(4096)
    expected = FLOOR + 0.5 * math.log(2 * math.pi)
    for values in (frame_energy_nll(silence, 1024, FLOOR), oracle_lpc_nll(silence, 1024, FLOOR)):
        torch.testing.assert_close(values, torch.full((4,), expected, dtype=torch.float64))


def test_bits_count_sixteen_bit_steps() -> None:
    # A uniform density over [-1, 1] spends 16 bits on a 16-bit sample.
    assert bits_per_sample(math.log(2.0)) == pytest.approx(16.0)


def test_log_mel_distance_is_zero_for_equals_and_two_for_a_gain_of_e_squared() -> None:
    x = 0.01 * torch.randn(1, 1, 8192, generator=torch.Generator().manual_seed(0))
    assert float(log_mel_distance(x, x, MelConfig())) == 0
    assert float(log_mel_distance(x, x * math.exp(2), MelConfig())) == pytest.approx(2, rel=1e-3)


def test_shuffling_keeps_the_frames() -> None:
    mel = make_mel(frames=50)
    shuffled = shuffled_frames(mel, 0)
    assert not torch.equal(shuffled, mel)
    torch.testing.assert_close(shuffled.sort(-1).values, mel.sort(-1).values)


def test_griffin_lim_is_aligned_with_its_mel() -> None:
    from data import log_mel

    t = torch.arange(16384) / 16000
    x = (0.3 * torch.sin(2 * math.pi * 440 * t) * (t > 0.5))[None, None].float()
    mel = log_mel(x, MelConfig())
    y = torch.from_numpy(griffin_lim(mel[0].numpy(), MelConfig()))[None, None]
    assert y.shape == x.shape
    assert float(y[..., : 8000 - 512].abs().max()) < 0.05
    assert float(y[..., 8000 + 512 :].std()) == pytest.approx(0.3 / math.sqrt(2), rel=0.15)


def test_naive_and_cached_sampling_draw_the_same() -> None:
    teacher, mel = make_teacher(), make_mel(batch=1)
    cached = teacher.sample(mel, generator=torch.Generator().manual_seed(0))
    noise = torch.empty(1, 1, 6 * HOP, dtype=torch.float64)
    noise.normal_(generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(naive_sample(teacher, mel, noise), cached)


def test_benchmark_times_every_system(trained: Path) -> None:
    result = benchmark(
        trained / "teacher",
        trained / "student",
        seconds=0.05,
        naive_samples=5,
        rounds=2,
        device="cpu",
    )
    rows = {row["system"]: row for row in result["rows"]}
    expected = ["teacher, naive", "teacher, cached", "teacher, compiled", "student"]
    assert [name for name in rows if name in expected] == expected
    samples = result["audio_seconds"] * result["sample_rate"]
    for row in rows.values():
        rate = row["batch"] * samples / row["seconds"]
        assert row["samples_per_second"] == pytest.approx(rate)
        assert row["real_time_factor"] == pytest.approx(rate / result["sample_rate"])
        if row["mflop_per_sample"] is not None:
            assert row["gflops"] == pytest.approx(rate * row["mflop_per_sample"] / 1e3)
            peak = result["peak_gflops"][row["precision"]][str(row["threads"])]
            assert row["share_of_peak"] == pytest.approx(row["gflops"] / peak)
    in_bfloat16 = [name for name, row in rows.items() if row["precision"] == "bfloat16"]
    # One stream of the teacher, a batch, and the student.
    assert len(in_bfloat16) == 3 * MULTIPLIES_PAIRS
    assert all(name.endswith(", bfloat16") for name in in_bfloat16)
    assert rows["teacher, cached"]["times_teacher_cached"] == 1
    assert rows["teacher, naive"]["times_teacher_cached"] < 1
    assert rows["student"]["times_teacher_cached"] > 1
    table = benchmark_table(result)
    assert all(f"| {name} |" in table for name in rows)
    assert result["first_chunk_seconds"] > 0
    assert all(row["peak_megabytes"] is None or row["peak_megabytes"] >= 0 for row in rows.values())


def test_benchmark_scales_lengths_and_batches(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "speed.json"
    words = ["benchmark", "--teacher", str(trained / "teacher"), "--device", "cpu"]
    words += ["--student", str(trained / "student"), "--seconds", "0.02", "--naive_samples", "2"]
    words += ["--rounds", "1", "--lengths", "[0.02,0.1]", "--batches", "[1,2]", "--out", str(out)]
    assert main(words) == 0
    rows = json.loads(out.read_text())["scaling"]
    cases = {(row["system"], round(row["audio_seconds"] * 62.5), row["batch"]) for row in rows}
    assert cases == {(s, n, b) for s in ("teacher", "student") for n in (1, 6) for b in (1, 2)}
    for row in rows:
        samples = row["batch"] * row["audio_seconds"] * 16000
        assert row["samples_per_second"] == pytest.approx(samples / row["seconds"])
    for picture in ("speed.png", "speed_headline.png"):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
    with pytest.raises(BenchmarkError, match=r"batches \[0\]: expected positive"):
        benchmark(trained / "teacher", trained / "student", batches=[0])


def test_peak_memory_is_the_calls() -> None:
    def call() -> None:
        np.ones(100_000_000, np.uint8)

    found = peak_megabytes(call, torch.device("cpu"))
    assert found is not None
    assert 95 < found < 110


def test_operations_are_two_for_each_weight() -> None:
    # Every weight that acts at sample rate is used once a sample, by a product and a sum.
    teacher, student = make_teacher(), make_student(config=FILTERED_STUDENT)
    at_frame_rate = ("context", "frame_params", "projection", "bias")
    for network, found in (
        (teacher.wavenet, teacher_flops(teacher)),
        (student.flow, student_flops(student.config)),
    ):
        fold_weight_norm(network)
        weights = sum(
            parameter.numel()
            for name, parameter in network.named_parameters()
            if not any(part in name.split(".") for part in at_frame_rate)
        )
        filter_order = FILTERED_STUDENT.filter_order if network is student.flow else 0
        assert found == 2 * (weights + filter_order)


def test_a_voiced_students_context_acts_at_every_step() -> None:
    student = make_student(config=VOICED_STUDENT)
    fold_weight_norm(student.flow)
    weights = sum(
        parameter.numel()
        for network in student.parts.networks
        for name, parameter in network.named_parameters()
        if "bias" not in name
    )
    length = VOICED_STUDENT.frame_length
    rotations = length**2 * (len(student.parts.networks) - 1)
    expected = round(2 * (weights + rotations) / length) + 2 * VOICED_STUDENT.filter_order
    assert student_flops(VOICED_STUDENT) == expected


def test_another_mel_convention_is_refused_by_field(
    dump: Path, trained: Path, tmp_path: Path
) -> None:
    # Public checkpoints do not store the feature settings: a wrong mel is accepted in silence.
    model = Teacher.from_pretrained(trained / "teacher")
    other = model.metadata["mel"] | {"fmin_hz": 50.0}
    model.save_pretrained(tmp_path, model.metadata | {"mel": other})
    with pytest.raises(FeatureMismatch, match="fmin_hz"):
        evaluate(tmp_path, dump=dump, device="cpu")
    with pytest.raises(FeatureMismatch, match="fmin_hz"):
        benchmark(tmp_path, trained / "student", device="cpu")


def test_summary_shows_results_and_names_what_is_missing(dump: Path, trained: Path) -> None:
    evaluate(
        trained / "teacher",
        trained / "student",
        dump,
        systems=["recording", "student"],
        out=trained / "evaluation",
        device="cpu",
    )
    (trained / "benchmark.json").unlink(missing_ok=True)
    with pytest.raises(ResultsError, match=r"benchmark\.json"):
        summary_of(trained)
    benchmark_command(
        trained / "teacher",
        trained / "student",
        seconds=0.05,
        naive_samples=2,
        rounds=1,
        out=trained / "benchmark.json",
        device="cpu",
    )
    excerpts(dump, trained / "samples" / "recording", min_seconds=0.1)
    text = summary_of(trained)
    for expected in ("oracle linear predictor", "Log-mel distance", "samples/s", ".wav"):
        assert expected in text


def test_the_longest_of_short_recordings_are_taken_as_excerpts(
    dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipelines.commands.excerpts.EXCERPT_SECONDS", 60.0)
    excerpts(dump, tmp_path / "out", limit=1)
    assert "no test utterance of at least 60.0 s, the longest has 1." in capsys.readouterr().out
    assert len(list((tmp_path / "out").glob("*.wav"))) == 1
    assert is_output(tmp_path / "out")  # or a search above would count them as recordings
    with pytest.raises(DataError, match=r"no test utterance of at least 30 s, the longest has"):
        excerpts(dump, tmp_path / "out", min_seconds=30)
    for limit in (0, -1):
        with pytest.raises(ValueError, match=f"limit is {limit}, expected at least 1"):
            excerpts(dump, tmp_path / "out", limit=limit)


@pytest.mark.parametrize("name", recipe_names())
def test_bundled_recipes_are_valid(name: str) -> None:
    from pipelines.cli import build_parser
    from pipelines.recipes import find_recipe

    parser = build_parser("prepare")
    arguments = parser.parse_args(["prepare", "--recipe", str(find_recipe(name))])
    recipe = parser.instantiate(arguments).prepare.recipe
    assert recipe.name == name
    if name == "ljspeech":
        assert recipe.data.mel == MelConfig(sample_rate=22050)


def test_held_out_utterances_are_not_trained_on(dump: Path) -> None:
    manifest = Manifest.load(dump)
    names = {s: {u.name for u in manifest.utterances(s)} for s in ("train", "val", "test")}  # type: ignore[arg-type]
    assert all(names.values())
    assert not names["train"] & (names["val"] | names["test"])
