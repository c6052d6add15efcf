"""The listening page: complete, escaped, and without sections that a run lacks."""

import base64
import html.parser
import json
import re
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data import write_waveform
from data.audio.outputs import is_output
from pipelines.cli import main
from pipelines.report import ReportError, charts, collect, write_page
from pipelines.report.results import ResultsError

HOSTILE = "<img src=x onerror=alert(1)>\"'&<!--</script><script>alert(2)"


class Page(html.parser.HTMLParser):
    """A parsed page: elements with their attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, attribute: str) -> list[str]:
        return [a[attribute] or "" for _, a in self.elements if attribute in a]


def make_run(exp: Path, trained: Path, names: list[str], systems: list[str]) -> Path:
    """A run with models and the samples of each system."""
    for model in ("teacher", "student"):
        (exp / model).mkdir(parents=True)
        for name in ("config.json", "metrics.jsonl"):
            (exp / model / name).write_bytes((trained / model / name).read_bytes())
    rng = np.random.default_rng(0)
    for system in systems:
        for name in names:
            seconds = 0.5 if system == "teacher" else 1.1
            path = exp / "samples" / system / f"{name}.wav"
            write_waveform(path, 0.1 * rng.standard_normal(int(seconds * 16000)), 16000)
    return exp


def evaluate_into(exp: Path, trained: Path, dump: Path, *words: str) -> None:
    arguments = ["evaluate", "--teacher", str(trained / "teacher"), "--dump", str(dump)]
    arguments += ["--student", str(trained / "student"), "--systems", "[recording,student]"]
    assert main([*arguments, "--out", str(exp / "evaluation"), "--device", "cpu", *words]) == 0


def test_a_page_has_every_section_and_needs_no_network(
    dump: Path, trained: Path, tmp_path: Path
) -> None:
    exp = make_run(tmp_path / "mine", trained, ["a"], ["recording", "student", "teacher"])
    evaluate_into(exp, trained, dump)
    rows = [
        {
            "system": "student",
            "seconds": 0.5,
            "seconds_range": [0.4, 0.6],
            "samples_per_second": 32000,
            "real_time_factor": 2.0,
            "times_teacher_cached": 40.0,
        }
    ]
    benchmark = {"audio_seconds": 1.0, "rounds": 3, "threads": 1, "device": "", "rows": rows}
    benchmark["peak_gflops"] = {}
    (exp / "benchmark.json").write_text(json.dumps(benchmark))
    assert main(["report", "--exp", str(exp)]) == 0
    text = (exp / "report" / "index.html").read_text()
    page = Page(text)
    for section in ("listen", "measures", "speed", "training", "recipe"):
        assert ("section", section) in [(t, a.get("id")) for t, a in page.elements]
    for shown in (
        "mine",
        "Following ratio",
        "32,000",
        "at its best",
        "spectral convergence",
        "segment_frames: 4",
    ):
        assert shown in page.text
    for reference in [*page.values("src"), *page.values("href")]:
        assert (
            reference.startswith("#")
            or reference == "data:,"
            or (exp / "report" / reference).is_file()
        ), reference
    for name in ("page.css", "page.js"):
        assert "//" not in (exp / "report" / name).read_text().replace("// ", "")


def test_audio_reaches_the_player_unchanged(trained: Path, tmp_path: Path) -> None:
    exp = make_run(tmp_path / "mine", trained, ["a"], ["student", "recording", "other", "world"])
    write_page(collect(exp), tmp_path / "page")
    assert is_output(tmp_path / "page")
    page = Page((tmp_path / "page" / "index.html").read_text())
    radios = [a for tag, a in page.elements if tag == "input" and a.get("type") == "radio"]
    assert len(radios) == 4
    script = (tmp_path / "page" / "audio" / "00.js").read_text()
    index, encoded = json.loads(f"[{script[len('receiveAudio(') : -len(');') - 1]}]")
    assert index == 0
    for k, system in enumerate(["recording", "world", "student", "other"]):
        wav = tmp_path / "page" / "audio" / f"00-{k}.wav"
        assert base64.b64decode(encoded[k]) == wav.read_bytes()
        source = exp / "samples" / system / "a.wav"
        np.testing.assert_array_equal(soundfile.read(wav)[0], soundfile.read(source)[0])


def test_evaluated_audio_comes_before_samples_which_fill_the_gaps(
    dump: Path, trained: Path, tmp_path: Path
) -> None:
    exp = make_run(tmp_path / "mine", trained, ["a"], ["recording", "teacher"])
    rng = np.random.default_rng(1)
    for system in ("recording", "griffin-lim"):
        path = exp / "evaluation" / "audio" / system / "a.wav"
        write_waveform(path, 0.1 * rng.standard_normal(20000), 16000)
    (utterance,) = collect(exp).utterances
    lengths = {track.system: len(track.waveform) for track in utterance.tracks}
    assert lengths == {"recording": 20000, "griffin-lim": 20000, "teacher": 8000}


def test_hostile_names_are_escaped(trained: Path, tmp_path: Path) -> None:
    name = HOSTILE.replace("/", "-")  # the one character that no file name can hold
    title = f"run {name}"
    exp = make_run(tmp_path / title, trained, [name], ["recording", f"sys {name}"])
    page = Page(write_page(collect(exp), tmp_path / "page").read_text())
    assert not [a for tag, a in page.elements if tag == "img" and a.get("src") == "x"]
    scripts = [a for tag, a in page.elements if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "utterances"}, {"src": "page.js"}]
    assert not [key for _, a in page.elements for key in a if key.startswith("on")]
    for shown in (title, name, f"sys {name}"):
        assert shown in page.text
    data = page.text[page.text.index('[{"labels"') :].splitlines()[0]
    assert json.loads(data)[0]["name"] == name
    written = {p.name for p in (tmp_path / "page").rglob("*") if p.is_file()}
    assert all(set(n) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-") for n in written)


def test_a_run_without_results_shows_what_it_has(trained: Path, tmp_path: Path) -> None:
    exp = make_run(tmp_path / "mine", trained, ["a", "b", "c"], ["recording"])
    (exp / "teacher" / "metrics.jsonl").unlink()
    content = collect(exp, limit=2)
    assert [u.name for u in content.utterances] == ["a", "b"]
    page = Page(write_page(content, tmp_path / "page").read_text())
    sections = [a.get("id") for tag, a in page.elements if tag == "section"]
    assert sections == ["listen", "training", "recipe"]


def test_short_utterances_are_shown_if_there_are_no_others(trained: Path, tmp_path: Path) -> None:
    exp = make_run(tmp_path / "mine", trained, ["a", "b"], ["teacher"])  # half a second each
    assert [utterance.name for utterance in collect(exp, limit=1).utterances] == ["a"]
    make_run(tmp_path / "other", trained, ["c"], ["student"])
    (tmp_path / "other" / "samples" / "student").rename(exp / "samples" / "student")
    assert [utterance.name for utterance in collect(exp).utterances] == ["c"]
    with pytest.raises(ReportError, match="limit is 0, expected at least 1"):
        collect(exp, limit=0)


def test_missing_and_damaged_results_are_named(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"holds no teacher/config\.json"):
        collect(tmp_path)
    exp = make_run(tmp_path / "mine", trained, [], [])
    with pytest.raises(ReportError, match=r"run evaluate with --out .*mine/evaluation"):
        collect(exp)
    path = exp / "samples" / "student" / "a.wav"
    write_waveform(path, np.full(30000, 0.1), 22050)
    with pytest.raises(ReportError, match=r"a\.wav: 30000 samples at 22050 Hz, expected .*16000"):
        collect(exp)
    path.write_bytes(b"nothing")
    with pytest.raises(ReportError, match=r"a\.wav: cannot be read"):
        collect(exp)
    other = make_run(tmp_path / "other", trained, ["a"], ["student"])
    (other / "benchmark.json").write_text("{")
    with pytest.raises(ResultsError, match=r"benchmark\.json: cannot be read"):
        collect(other)


def test_silence_and_clips_at_full_scale_are_drawn(trained: Path, tmp_path: Path) -> None:
    exp = make_run(tmp_path / "mine", trained, [], [])
    for system, value in (("recording", 0.0), ("student", 1.0)):
        write_waveform(exp / "samples" / system / "a.wav", np.full(16000, value), 16000)
    write_page(collect(exp), tmp_path / "page")
    assert (tmp_path / "page" / "pictures" / "00-0.png").stat().st_size > 0


def test_the_same_run_gives_the_same_page(trained: Path, tmp_path: Path) -> None:
    exp = make_run(tmp_path / "mine", trained, ["a"], ["recording", "student"])
    for name in ("x", "y"):
        write_page(collect(exp), tmp_path / name)
    files = [p.relative_to(tmp_path / "x") for p in (tmp_path / "x").rglob("*") if p.is_file()]
    assert len(files) == 9  # the mark of generated audio, too
    for file in files:
        assert (tmp_path / "x" / file).read_bytes() == (tmp_path / "y" / file).read_bytes()


def colours(block: str) -> dict[str, tuple[float, ...]]:
    """Return the colours among a block's custom properties, as linear light."""
    found = re.findall(r"--([\w-]+): #(..)(..)(..);", block)
    return {
        name: tuple((int(v, 16) / 255 + 0.055) ** 2.4 / 1.055**2.4 for v in channels)
        for name, *channels in found
    }


def test_text_has_enough_contrast_in_light_and_dark() -> None:
    style = resources.files("pipelines.report").joinpath("page.css").read_text()
    light, dark = style.split("prefers-color-scheme: dark")
    for scheme in (colours(light), colours(dark)):
        light_of = {
            name: 0.2126 * r + 0.7152 * g + 0.0722 * b for name, (r, g, b) in scheme.items()
        }
        texts = [name for name in scheme if name in ("ink", "quiet", "accent") or "system" in name]
        assert len(texts) == 9
        for text in texts:
            for ground in ("paper", "raised"):
                low, high = sorted((light_of[text], light_of[ground]))
                # WCAG 2, success criterion 1.4.3
                assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)


def test_the_axis_of_a_curve_fits_the_part_after_the_start() -> None:
    points = [(step, 1000.0 if step < 5 else 1.0 + step / 100) for step in range(1, 101)]
    chart = charts.line_chart("loss", {"train": [*points, (101, float("nan"))]})
    heights = [float(p.split()[1]) for p in chart.paths["train"][1:].split("L")]
    assert len(heights) == 100
    assert min(heights) == heights[0] == charts.TOP
    assert max(heights) <= charts.HEIGHT - charts.BOTTOM
    assert all(charts.TOP <= tick.position <= charts.HEIGHT for tick in chart.y_ticks)
    assert next(tick.label for tick in chart.x_ticks) == "0"


def test_a_constant_curve_and_an_empty_one_are_drawn() -> None:
    assert charts.line_chart("lr", {"train": [(1, 0.0), (2, 0.0)]}).paths["train"]
    assert charts.line_chart("lr", {"train": [(1, float("nan"))]}).paths == {}


def test_an_outline_ends_where_its_waveform_does() -> None:
    waveform = np.sin(np.arange(4000) / 10).astype(np.float32)
    path = charts.outline(waveform, 16000, peak=0.5)
    pairs = [tuple(map(float, p.split())) for p in path[1:-1].split("L")]
    assert max(x for x, _ in pairs) <= charts.OUTLINE_WIDTH / 4
    assert all(-0.5 <= y <= charts.OUTLINE_HEIGHT + 0.5 for _, y in pairs)


def test_intervals_share_an_axis() -> None:
    at = charts.positions(
        {
            "a": {"mean": 1.0, "low": 0.0, "high": 2.0},
            "b": {"mean": 4.0, "low": 4.0, "high": 4.0},
        }
    )
    assert 0 < at["a"]["low"] < at["a"]["mean"] < at["a"]["high"] < at["b"]["mean"] < 100
    assert at["b"]["low"] == at["b"]["high"]
