"""Runs beside each other: shared systems once, each run's own under its name."""

import dataclasses
import json
from pathlib import Path

import pytest

from pipelines.cli import main
from pipelines.report import ReportError, collect
from pipelines.report.side_by_side import side_by_side
from tests.pipelines.report.test_page import Page, make_run

SYSTEMS = ["recording", "griffin-lim", "student"]
TOGETHER = ["recording", "griffin-lim", "student (a)", "student (b)"]


def interval(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean, "high": mean}


def evaluated(exp: Path, mos: float, names: list[str]) -> None:
    means = {"distillmos": interval(mos), "nll_nats": interval(-4.0)}
    evaluation = {
        "systems": dict.fromkeys(SYSTEMS, means),
        "utterances": [{"name": name, "systems": {}} for name in names],
        "num_utterances": len(names),
        "minutes": 1.0,
        "source": "test split",
        "confidence": 0.95,
        "max_seconds": None,
        "left_out": {"packages": [], "files": {}},
        "likelihood": {"nats": {"teacher": -4.0}, "bits": {"teacher": 9.0}},
    }
    (exp / "evaluation").mkdir(exist_ok=True)
    (exp / "evaluation" / "evaluation.json").write_text(json.dumps(evaluation))


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> list[Path]:
    """Runs a and b of one corpus, with one utterance in common and one of b's own."""
    found = []
    for name, mos, utterances in (("a", 3.0, ["x"]), ("b", 3.5, ["x", "y"])):
        exp = make_run(tmp_path / name, trained, utterances, SYSTEMS)
        evaluated(exp, mos, ["x"])
        found.append(exp)
    return found


def test_an_utterance_is_heard_from_all_runs_in_place(runs: list[Path]) -> None:
    content = side_by_side([collect(exp) for exp in runs])
    assert content.title == "a beside b"
    heard = {u.name: [track.system for track in u.tracks] for u in content.utterances}
    assert heard == {"x": TOGETHER, "y": ["recording", "griffin-lim", "student (b)"]}


def test_measures_stand_side_by_side(runs: list[Path]) -> None:
    content = side_by_side([collect(exp) for exp in runs])
    assert content.evaluation is not None
    systems = content.evaluation["systems"]
    assert list(systems) == TOGETHER
    means = {name: line.means["distillmos"] for name, line in content.lines.items()}
    assert means == {"recording": 3, "griffin-lim": 3, "student (a)": 3, "student (b)": 3.5}
    # The likelihoods are under different teachers.
    assert "likelihood" not in content.evaluation
    assert "nll_nats" in systems["student (b)"]
    assert "nll_nats" not in systems["recording"]
    assert list(content.recipes) == ["a", "b"]
    assert set(content.models) == {"teacher (a)", "teacher (b)", "student (a)", "student (b)"}


def test_runs_of_different_corpora_share_nothing(runs: list[Path]) -> None:
    first, second = (collect(exp) for exp in runs)
    models = json.loads(json.dumps(second.models))
    for model in models.values():
        model["metadata"]["corpus_checksum"] = "another"
    content = side_by_side([first, dataclasses.replace(second, models=models)])
    assert [utterance.name for utterance in content.utterances] == ["a: x", "b: x", "b: y"]
    assert "recording (a)" in content.lines
    assert "recording (b)" in content.lines
    assert content.evaluation is not None
    assert content.evaluation["num_utterances"] == 2
    assert "compare each with its own recordings" in content.notice


def test_the_page_of_several_names_every_system(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["report", "--exp", *map(str, runs)]
    assert main(words) == 2
    assert "out is missing, expected a folder for the page of 2 runs" in capsys.readouterr().err
    assert main([*words, "--out", str(tmp_path / "page")]) == 0
    page = Page((tmp_path / "page" / "index.html").read_text())
    assert "systems" in [a.get("id") for tag, a in page.elements if tag == "section"]
    for shown in ("student (a)", "student (b)", "Griffin-Lim", "3.50", "each run's own teacher"):
        assert shown in page.text


def test_one_run_is_as_it_is_and_rates_must_agree(runs: list[Path]) -> None:
    first, second = (collect(exp) for exp in runs)
    assert side_by_side([first]) is first
    other = dataclasses.replace(second, mel=dataclasses.replace(second.mel, sample_rate=22050))
    with pytest.raises(ReportError, match=r"\[16000, 22050\] Hz, expected one sample rate"):
        side_by_side([first, other])
    titles = [collect(runs[0]), dataclasses.replace(second, title="a")]
    assert side_by_side(titles).title == "a 1 beside a 2"


def test_other_mels_have_their_own_griffin_lim(runs: list[Path]) -> None:
    for name in ("teacher", "student"):
        path = runs[1] / name / "config.json"
        described = json.loads(path.read_text())
        described["metadata"]["mel"]["num_mels"] = 40
        path.write_text(json.dumps(described))
    content = side_by_side([collect(exp) for exp in runs])
    assert content.evaluation is not None
    assert {"griffin-lim (a)", "griffin-lim (b)"} <= content.evaluation["systems"].keys()


def test_audio_of_an_earlier_evaluation_is_not_shown(runs: list[Path]) -> None:
    audio = runs[0] / "evaluation" / "audio"
    for system, name in (("student", "x"), ("student", "old"), ("world", "x")):
        (audio / system).mkdir(parents=True, exist_ok=True)
        source = runs[0] / "samples" / "student" / "x.wav"
        (audio / system / f"{name}.wav").write_bytes(source.read_bytes())
    heard = {u.name: [track.system for track in u.tracks] for u in collect(runs[0]).utterances}
    assert heard == {"x": SYSTEMS}
