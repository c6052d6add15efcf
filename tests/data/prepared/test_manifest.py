"""Manifests that another program or an earlier version wrote."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data import DataError, Manifest
from data.prepared.manifest import Skipped


def load_edited(manifest: Manifest, folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((manifest.dump_dir / "manifest.json").read_text())
    edit(content)
    (folder / "manifest.json").write_text(json.dumps(content))
    Manifest.load(folder)


def test_unedited_manifest_is_accepted(prepared: Manifest, tmp_path: Path) -> None:
    load_edited(prepared, tmp_path, lambda content: None)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "", ".", "a//b", "a/", "a\0b"])
def test_name_that_leads_outside_is_refused(prepared: Manifest, tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="expected a relative path"):
        load_edited(prepared, tmp_path, lambda c: c["utterances"][0].update(name=name))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.update(version=99), "version is 99, expected 1"),
        (lambda c: c.pop("corpus"), "manifest: field .corpus. is missing"),
        (lambda c: c.update(extra=1), "manifest: unknown field 'extra'"),
        (lambda c: c.update(utterances={}), "manifest.utterances is {}, expected a list"),
        (lambda c: c.update(mel=3), "manifest.mel is 3, expected a mapping of its fields"),
        (lambda c: c["mel"].update(hop_length="256"), "mel.hop_length is '256', expected int"),
        (lambda c: c["mel"].update(hop_length=255), "MelConfig.hop_length is 255"),
        (lambda c: c["utterances"][1].update(split="dev"), r"utterances\[1\].split is 'dev'"),
        (lambda c: c["utterances"][1].update(num_frames=True), "num_frames is True, expected int"),
        (lambda c: c["utterances"][1].update(num_frames=0), "num_frames=0"),
        (lambda c: c["statistics"].update(mel_mean=[0.0]), "mel_mean has 1 bands, expected 80"),
        (lambda c: c["statistics"].update(waveform_std=float("nan")), "expected a finite number"),
        (lambda c: c.update(corpus=None), "manifest.corpus is None, expected str"),
    ],
)
def test_invalid_field_is_named(
    prepared: Manifest, tmp_path: Path, edit: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(DataError, match=message) as error:
        load_edited(prepared, tmp_path, edit)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "\x00"])
def test_file_that_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"manifest\.json: "):
        Manifest.load(tmp_path)


def test_missing_manifest_asks_whether_the_corpus_was_prepared(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file; has the corpus been prepared"):
        Manifest.load(tmp_path)


def test_the_report_counts_and_names_what_was_left_out(prepared: Manifest) -> None:
    assert "\nskipped: 0\nclipped: 0\n" in prepared.report()
    reasons = {"a.wav": "empty file", "b.wav": "too short"}
    skipped = tuple(Skipped(name=name, reason=reason) for name, reason in reasons.items())
    contents = dataclasses.replace(prepared.contents, skipped=skipped)
    report = dataclasses.replace(prepared, contents=contents).report()
    assert "\nskipped: 2\n  a.wav: empty file\n  b.wav: too short\nclipped: 0\n" in report
