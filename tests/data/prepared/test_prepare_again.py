"""Preparing a corpus again, after a stop, a change or damage, and by several processes."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data import DataError, Manifest, MelConfig, prepare_part, synthesise
from data.audio.outputs import MARKER_FILE
from data.prepared.parallel import choose_num_workers, parallel_map
from data.prepared.prepare import prepare
from storage.folder_lock import FolderInUseError, folder_lock
from tests.data.conftest import CONFIG, add_bad_files, run


def stamps(manifest: Manifest) -> dict[str, int]:
    """Return the time of change of the dump folder's files, except journal, lock and marker."""
    files = (path for path in manifest.dump_dir.rglob("*") if path.is_file())
    others = ("journal.jsonl", ".lock", MARKER_FILE)
    return {path.name: path.stat().st_mtime_ns for path in files if path.name not in others}


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def test_second_run_writes_nothing(corpus: Path) -> None:
    add_bad_files(corpus)
    first = run(corpus)
    before = stamps(first)
    assert run(corpus) == first
    assert stamps(first) == before


@pytest.mark.parametrize("damage", [Path.unlink, Path.touch, spoil, lambda p: os.truncate(p, 50)])
@pytest.mark.parametrize("kind", ["waveforms", "mels"])
def test_damaged_output_alone_is_made_again(corpus: Path, damage, kind: str) -> None:  # type: ignore[no-untyped-def]
    first = run(corpus)
    path = first.dump_dir / kind / "digits/clip_000.npy"
    before, content = stamps(first), path.read_bytes()
    damage(path)
    assert run(corpus) == first
    assert path.read_bytes() == content
    after = stamps(first)
    assert all(after[f"clip_{i:03d}.npy"] == before[f"clip_{i:03d}.npy"] for i in (1, 2, 3))


def test_utterances_in_an_earlier_versions_journal_are_prepared_again(corpus: Path) -> None:
    first = run(corpus)
    journal = first.dump_dir / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line in lines:
        del line["waveform_sha256"], line["mel_sha256"]
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    before = stamps(first)
    assert run(corpus) == first
    assert all(stamps(first)[name] > before[name] for name in before)


def test_file_that_an_earlier_version_refused_is_tried_again(corpus: Path) -> None:
    manifest = run(corpus)
    journal = manifest.dump_dir / "journal.jsonl"
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    refused = {"name": records[0]["name"], "key": records[0]["key"], "problem": "unreadable audio"}
    journal.write_text("".join(f"{json.dumps(r)}\n" for r in [refused, *records[1:]]))
    again = run(corpus)
    assert again.contents.utterances == manifest.contents.utterances
    assert not again.contents.skipped


def test_second_run_at_the_same_time_is_refused(corpus: Path) -> None:
    with folder_lock(corpus.parent / "dump"), pytest.raises(FolderInUseError, match="dump: in use"):
        run(corpus)


def test_changed_source_is_done_again(corpus: Path) -> None:
    first = run(corpus)
    synthesise(corpus / "digits", num_utterances=1, seconds=0.8, seed=2)
    second = run(corpus)
    assert second.utterances()[-1].num_frames == 50
    assert second.contents.checksum != first.contents.checksum


def test_a_changed_convention_prepares_everything_again(corpus: Path) -> None:
    run(corpus)
    manifest = run(corpus, replace(CONFIG, mel=MelConfig(num_mels=40, hop_length=200)))
    assert manifest.mel.num_mels == 40
    assert all(
        np.load(manifest.mel_path(u.name)).shape == (40, u.num_frames)
        for u in manifest.utterances()
    )


def test_changed_shares_move_utterances_without_redoing_them(corpus: Path) -> None:
    first = run(corpus)
    waveform = first.waveform_path("clip_000")
    before = waveform.stat().st_mtime_ns
    second = run(corpus, replace(CONFIG, val_percent=45, test_percent=45))
    assert len(second.utterances("train")) < len(first.utterances("train"))
    assert waveform.stat().st_mtime_ns == before


def test_outputs_of_a_removed_source_stay_and_are_listed(corpus: Path) -> None:
    first = run(corpus)
    before = stamps(first)
    moved = corpus.parent / "elsewhere.wav"
    (corpus / "digits/clip_000.wav").rename(moved)
    manifest = run(corpus)
    assert len(manifest.utterances()) == 4
    assert manifest.waveform_path("digits/clip_000").exists()
    assert "gone: 1; their features are kept" in manifest.report()
    assert "  digits/clip_000\n" in manifest.report()
    moved.rename(corpus / "digits/clip_000.wav")
    assert run(corpus) == first
    after = stamps(first)
    assert all(after[name] == before[name] for name in before if name.endswith(".npy"))


def test_features_stay_when_the_corpus_is_missing(corpus: Path) -> None:
    first = run(corpus)
    before = stamps(first)
    corpus.rename(corpus.parent / "elsewhere")
    corpus.mkdir()  # like the mount point of a disk that is not mounted
    with pytest.raises(DataError, match=r"dump: the corpus has no audio any more.* 5 recordings"):
        run(corpus)
    assert stamps(first) == before
    assert Manifest.load(first.dump_dir) == first


def test_features_that_were_deleted_with_their_source_are_forgotten(corpus: Path) -> None:
    first = run(corpus)
    (corpus / "digits/clip_000.wav").unlink()
    first.waveform_path("digits/clip_000").unlink()
    assert run(corpus).contents.gone == ()


def test_an_interrupted_run_continues_where_it_stopped(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from data.prepared import journal

    calls = []
    add = journal.Journal.add

    def stop_after_two(self, record) -> None:  # type: ignore[no-untyped-def]
        add(self, record)
        calls.append(record.name)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(journal.Journal, "add", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        run(corpus)
    with open(corpus.parent / "dump/journal.jsonl", "a") as file:
        file.write('{"name": "clip_0')  # a kill in the middle of a line
    run(corpus)
    assert sorted(calls) == ["clip_000", "clip_001", "clip_002", "clip_003", "digits/clip_000"]


def test_interrupted_change_of_convention_leaves_no_manifest(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from data.prepared import journal

    dump_dir = run(corpus).dump_dir

    def stop(_self, _record) -> None:  # type: ignore[no-untyped-def]
        raise KeyboardInterrupt

    monkeypatch.setattr(journal.Journal, "add", stop)
    with pytest.raises(KeyboardInterrupt):
        run(corpus, replace(CONFIG, mel=MelConfig(num_mels=40)))
    with pytest.raises(DataError, match="no such file"):
        Manifest.load(dump_dir)


def test_name_in_the_journal_cannot_lead_outside(corpus: Path) -> None:
    manifest = run(corpus)
    victim = manifest.dump_dir.parent / "victim.npy"
    victim.touch()
    with open(manifest.dump_dir / "journal.jsonl", "a") as file:
        file.write(json.dumps({"name": "../../victim", "key": ""}) + "\n")
    run(corpus)
    assert victim.exists()


def test_several_processes_give_the_same_result(corpus: Path, tmp_path: Path) -> None:
    add_bad_files(corpus)
    alone = run(corpus)
    config = replace(CONFIG, num_workers=2)
    together = prepare(corpus, tmp_path / "other", config, progress=False)
    assert together.contents == alone.contents


def test_killed_process_is_reported() -> None:
    with pytest.raises(DataError, match="a process was killed"):
        list(parallel_map(os._exit, [1], num_workers=2))


def test_parts_together_are_the_whole(corpus: Path, tmp_path: Path) -> None:
    add_bad_files(corpus)
    whole = run(corpus)
    dump_dir = tmp_path / "parts"
    counts = [prepare_part(corpus, dump_dir, CONFIG, part, 3, progress=False) for part in range(3)]
    assert sum(counts) == 5 + 6
    assert max(counts) - min(counts) <= 1
    assert prepare_part(corpus, dump_dir, CONFIG, 1, 3, progress=False) == 0
    before = {path: path.stat().st_mtime_ns for path in dump_dir.rglob("*.npy")}
    manifest = prepare(corpus, dump_dir, CONFIG, progress=False)
    assert manifest.contents == whole.contents
    assert before == {path: path.stat().st_mtime_ns for path in dump_dir.rglob("*.npy")}
    assert [path.name for path in dump_dir.glob("journal*")] == ["journal.jsonl"]


def test_parts_may_run_together_but_not_with_the_whole(corpus: Path) -> None:
    dump_dir = corpus.parent / "dump"
    with folder_lock(dump_dir, "0-of-2"):
        prepare_part(corpus, dump_dir, CONFIG, 1, 2, progress=False)
        with pytest.raises(FolderInUseError):
            prepare_part(corpus, dump_dir, CONFIG, 0, 2, progress=False)
        with pytest.raises(FolderInUseError):
            run(corpus)
    with folder_lock(dump_dir), pytest.raises(FolderInUseError):
        prepare_part(corpus, dump_dir, CONFIG, 0, 2, progress=False)


@pytest.mark.parametrize(("part", "num_parts"), [(-1, 2), (2, 2), (0, 0)])
def test_impossible_part_is_refused(corpus: Path, part: int, num_parts: int) -> None:
    with pytest.raises(DataError, match=f"part is {part} of {num_parts}, expected 0 to"):
        prepare_part(corpus, corpus.parent / "dump", CONFIG, part, num_parts)


def test_few_files_get_a_single_process() -> None:
    assert choose_num_workers(20) == 1
