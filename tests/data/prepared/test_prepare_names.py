"""Preparing files with unusual names, and several files with one name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile

from data import Manifest, PrepareConfig, UtteranceSet, mark_output, prepare, split_of, synthesise
from data.audio.outputs import MARKER_FILE
from tests.data.conftest import run

NOT_UTF8 = "caf\udce9"  # the Latin-1 byte e9, as Python keeps it
STRANGE = (NOT_UTF8, "line\u2028separator", "next\x85line", "tab\tand\nline")


def times(manifest: Manifest) -> list[int]:
    return [path.stat().st_mtime_ns for path in sorted(manifest.dump_dir.rglob("*.npy"))]


def test_strange_names_are_prepared_once(corpus: Path) -> None:
    for i, name in enumerate(STRANGE):
        (corpus / f"clip_{i:03d}.wav").rename(corpus / f"{name}.wav")
    first = run(corpus)
    assert {u.name for u in first.utterances()} == {*STRANGE, "digits/clip_000"}
    before = times(first)
    assert run(corpus) == first
    assert times(first) == before
    assert Manifest.load(first.dump_dir).contents == first.contents
    for split in ("train", "val", "test"):
        assert UtteranceSet(first, split).load(0)[0].shape[0] == 1  # type: ignore[arg-type]
    assert "caf\\udce9" in (first.dump_dir / "manifest.json").read_text(encoding="utf-8")


def test_a_name_that_is_not_utf8_has_a_split() -> None:
    assert split_of(NOT_UTF8) in ("train", "val", "test")


def test_a_good_file_is_used_in_place_of_a_bad_one_of_its_name(corpus: Path) -> None:
    (corpus / "clip_000.flac").touch()  # sorts before clip_000.wav
    (corpus / "clip_001.aac").write_text("not audio")
    soundfile.write(corpus / "clip_001.flac", np.sin(np.arange(8000) * 0.2), 16000)
    first = run(corpus)
    assert len(first.utterances()) == 5
    reasons = {skip.name: skip.reason for skip in first.skipped}
    assert reasons["clip_000.flac"] == "empty file"
    assert reasons["clip_001.aac"].startswith("unreadable audio")
    assert reasons["clip_001.wav"] == "same name as clip_001.flac"
    before = times(first)
    assert run(corpus) == first
    assert times(first) == before


def test_if_all_files_of_a_name_are_bad_each_is_listed(corpus: Path) -> None:
    (corpus / "clip_000.wav").write_text("not audio")
    (corpus / "clip_000.flac").touch()
    reasons = {skip.name: skip.reason for skip in run(corpus).skipped}
    assert reasons["clip_000.flac"] == "empty file"
    assert reasons["clip_000.wav"].startswith("unreadable audio")


def test_a_good_file_that_replaces_a_bad_one_is_prepared(corpus: Path) -> None:
    (corpus / "clip_000.flac").touch()
    first = run(corpus)
    soundfile.write(corpus / "clip_000.flac", np.sin(np.arange(12800) * 0.2), 16000)
    second = run(corpus)
    assert second.contents.checksum != first.contents.checksum
    assert [u.num_frames for u in second.utterances() if u.name == "clip_000"] == [50]


def test_generated_audio_in_the_corpus_is_not_prepared(corpus: Path) -> None:
    dump = corpus / "dump"
    config = PrepareConfig(corpus="mine")
    first = prepare(corpus, dump, config, progress=False)
    mark_output(corpus / "exp" / "evaluation")
    synthesise(corpus / "exp" / "evaluation" / "audio", num_utterances=2, seconds=0.5)
    second = prepare(corpus, dump, config, progress=False)
    assert second.utterances() == first.utterances()
    reason = f"made by this program; delete its file {MARKER_FILE} to include it"
    assert {skip.name: skip.reason for skip in second.skipped} == {
        "dump": reason,
        "exp/evaluation": reason,
    }
    assert f"  exp/evaluation: {reason}\n" in second.report()


def test_manifests_of_earlier_versions_are_read(corpus: Path) -> None:
    first = run(corpus)
    path = first.dump_dir / "manifest.json"
    found = json.loads(path.read_text())
    del found["gone"]
    path.write_text(json.dumps(found))
    assert Manifest.load(first.dump_dir) == first


def test_a_name_too_long_for_a_file_of_features_is_left_out(corpus: Path) -> None:
    source = sorted(corpus.glob("*.wav"))[0]
    (corpus / ("x" * 251 + ".wav")).write_bytes(source.read_bytes())
    long = "y" * 252
    soundfile.write(corpus / f"{long}.au", *soundfile.read(source), format="AU")
    for _ in range(2):
        manifest = run(corpus)
        skipped = {item.name: item.reason for item in manifest.contents.skipped}
        assert skipped == {f"{long}.au": "its name is too long for a file of features"}
        assert "x" * 251 in {utterance.name for utterance in manifest.utterances()}
