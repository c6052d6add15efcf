"""Preparation: recordings become waveforms and log-mel frames for training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tqdm import tqdm

from data.audio.outputs import mark_output
from data.corpora.fetch import search_speech
from data.prepared.journal import Journal
from data.prepared.manifest import (
    FORMAT_VERSION,
    MANIFEST_NAME,
    Contents,
    DataError,
    Manifest,
    PreparedUtterance,
    Skipped,
    refuse_foreign,
)
from data.prepared.parallel import choose_num_workers, parallel_map
from data.prepared.recording import PrepareTask, Record, make_utterance
from data.prepared.settings import PrepareConfig
from data.prepared.split import assign_splits
from data.prepared.statistics import training_statistics
from storage.atomic import write_file
from storage.folder_lock import folder_lock


def prepare(
    corpus_folder: Path, dump_dir: Path, config: PrepareConfig, *, progress: bool = True
) -> Manifest:
    """Prepare every recording of a corpus; a second run does only what has changed.

    Each recording becomes two files. `dump_dir/waveforms/NAME.npy` holds int16 samples; T is a
    multiple of the hop, because the last, incomplete frame is dropped. `dump_dir/mels/NAME.npy`
    holds the float32 log-mel of the stored waveform, num_mels × L, and below the bands the rows of
    `config.pitch`. With `config.mels` of kind "files", the log-mel is read from a file beside the
    recording, see `read_given`. A recording is prepared again if its size, its time of change, the
    settings or the outputs differ from `dump_dir/journal.jsonl`. Outputs whose source is gone are
    kept, but no longer used. Unusable files are skipped; `dump_dir/report.txt` lists them and the
    reasons.

    Args:
        corpus_folder: the result of `fetch`.
        dump_dir: folder to write into.
        config: the settings.
        progress: whether to show a progress bar.
    Returns:
        the manifest, which is also written to `dump_dir/manifest.json`.
    Raises:
        DataError: if fewer than three utterances are usable, or `dump_dir` cannot be written.
        AudioError: if `corpus_folder` is not a folder.
        FolderInUseError: if another run is writing to `dump_dir`.
    """
    corpus_folder, dump_dir = Path(corpus_folder), Path(dump_dir)
    tasks, left_out = _tasks(corpus_folder, dump_dir, config)
    try:
        _open_folder(dump_dir)
        with folder_lock(dump_dir):
            done = _bring_up_to_date(tasks, dump_dir, config.num_workers, progress)
            return _describe(corpus_folder, dump_dir, config, tasks, left_out, done)
    except OSError as error:
        raise DataError(f"{dump_dir}: {error}") from error


def prepare_part(
    corpus_folder: Path,
    dump_dir: Path,
    config: PrepareConfig,
    part: int,
    num_parts: int,
    *,
    progress: bool = True,
) -> int:
    """Prepare one share of a corpus's recordings, so that several processes or machines can share.

    When all parts are done, `prepare` finds nothing left to do and writes the manifest.

    Args:
        corpus_folder: the result of `fetch`, by a path that is equal for all parts.
        dump_dir: folder to write into, equal for all parts.
        config: the settings, equal for all parts.
        part: number of the share, from 0.
        num_parts: number of shares.
        progress: whether to show a progress bar.
    Returns:
        the number of recordings that had to be prepared.
    Raises:
        DataError: if there is no such part, or if `dump_dir` cannot be written.
        AudioError: if `corpus_folder` is not a folder.
        FolderInUseError: if another run is writing this part, or all parts.
    """
    if not 0 <= part < num_parts:
        raise DataError(f"part is {part} of {num_parts}, expected 0 to {num_parts - 1}")
    name = f"{part}-of-{num_parts}"
    tasks, _ = _tasks(Path(corpus_folder), Path(dump_dir), config)
    try:
        _open_folder(Path(dump_dir))
        with folder_lock(Path(dump_dir), name):
            journal = Journal(Path(dump_dir), name)
            return _make_pending(
                tasks[part::num_parts], journal, Path(dump_dir), config.num_workers, progress
            )
    except OSError as error:
        raise DataError(f"{dump_dir}: {error}") from error


def _open_folder(dump_dir: Path) -> None:
    refuse_foreign(dump_dir)
    mark_output(dump_dir)


def _tasks(
    corpus_folder: Path, dump_dir: Path, config: PrepareConfig
) -> tuple[list[PrepareTask], dict[str, str]]:
    """Make one task for each utterance name; files that differ only in their suffix share a task.

    Also return the reasons for files and folders that the search left out, by relative path.
    """
    found = search_speech(config.corpus, corpus_folder)
    sources: dict[str, list[Path]] = {}
    for path in found.files:
        name = path.relative_to(corpus_folder).with_suffix("").as_posix()
        sources.setdefault(name, []).append(path)
    make_task = partial(
        PrepareTask,
        dump_dir=dump_dir,
        mel=config.mel,
        pitch=config.pitch,
        min_seconds=config.min_seconds,
        mels=config.mels,
    )
    tasks = [make_task(name=name, sources=tuple(paths)) for name, paths in sources.items()]
    return tasks, found.left_out


@dataclass(frozen=True)
class _Done:
    """The state of a dump folder.

    Args:
        records: one record for each task.
        gone: names of utterances that have features but no source any more.
        is_changed: whether anything had to be done.
    """

    records: list[Record]
    gone: list[str]
    is_changed: bool


def _bring_up_to_date(
    tasks: Sequence[PrepareTask], dump_dir: Path, num_workers: int, progress: bool
) -> _Done:
    """Do the tasks that are not done, and tidy the journal."""
    journal = Journal(dump_dir)
    gone = journal.gone(task.name for task in tasks)
    if gone and not tasks:
        raise DataError(
            f"{dump_dir}: the corpus has no audio any more, as if its disk were missing; the "
            f"features of {len(gone)} recordings are kept"
        )
    manifest = dump_dir / MANIFEST_NAME
    before = manifest.read_bytes() if manifest.exists() else None
    num_made = _make_pending(tasks, journal, dump_dir, num_workers, progress)
    journal.compact()
    if before is not None and all(journal.records[task.name].problem for task in tasks):
        write_file(manifest, before)  # no recording can be used, so no features have changed
    return _Done([journal.records[task.name] for task in tasks], gone, num_made > 0)


def _make_pending(
    tasks: Sequence[PrepareTask], journal: Journal, dump_dir: Path, num_workers: int, progress: bool
) -> int:
    """Do the tasks that are not done, and return their number."""
    pending = [task for task in tasks if not journal.is_current(task)]
    if pending:
        journal.begin()
        # The manifest is about to become untrue.
        (dump_dir / MANIFEST_NAME).unlink(missing_ok=True)
        num_workers = num_workers or choose_num_workers(len(pending))
        with tqdm(total=len(pending), desc="prepare", unit="file", disable=not progress) as bar:
            for record in parallel_map(make_utterance, pending, num_workers):
                journal.add(record)
                bar.update()
    return len(pending)


def _describe(
    corpus_folder: Path,
    dump_dir: Path,
    config: PrepareConfig,
    tasks: Sequence[PrepareTask],
    left_out: Mapping[str, str],
    done: _Done,
) -> Manifest:
    """Write the manifest, or return the existing one if it is still true."""
    usable = sorted((r for r in done.records if not r.problem), key=lambda record: record.name)
    reasons = dict(left_out)
    for task, record in zip(tasks, done.records, strict=True):
        for source, reason in _unused(task, record):
            reasons[source.relative_to(corpus_folder).as_posix()] = reason
    skipped = [Skipped(name=name, reason=reasons[name]) for name in sorted(reasons)]
    hint = (
        f" ({len(skipped)} skipped, as {skipped[0].name}: {skipped[0].reason})" if skipped else ""
    )
    if not usable:
        raise DataError(f"no usable audio in {corpus_folder}{hint}")
    try:
        splits = assign_splits((r.name for r in usable), config.val_percent, config.test_percent)
    except ValueError as error:
        raise DataError(f"{corpus_folder}: {error}{hint}") from error
    listing = "".join(f"{record.sha256}  {record.name}\n" for record in usable)
    checksum = hashlib.sha256(listing.encode(errors="surrogateescape")).hexdigest()
    contents = partial(
        Contents,
        version=FORMAT_VERSION,
        corpus=config.corpus,
        checksum=checksum,
        mel=config.mel,
        pitch=config.pitch,
        mels=config.mels,
        min_seconds=float(config.min_seconds),
        val_percent=float(config.val_percent),
        test_percent=float(config.test_percent),
        utterances=tuple(
            PreparedUtterance(
                name=record.name,
                split=splits[record.name],
                num_frames=record.num_frames,
                num_clipped=record.num_clipped,
                waveform_sha256=record.waveform_sha256,
                mel_sha256=record.mel_sha256,
            )
            for record in usable
        ),
        skipped=tuple(skipped),
        gone=tuple(done.gone),
    )
    if not done.is_changed:
        previous = _load_if_valid(dump_dir)
        if previous and previous.contents == contents(statistics=previous.statistics):
            return previous
    train = [name for name, split in splits.items() if split == "train"]
    manifest = Manifest(
        dump_dir, contents(statistics=training_statistics(dump_dir, train, config.mel))
    )
    manifest.save()
    return manifest


def _unused(task: PrepareTask, record: Record) -> Iterator[tuple[Path, str]]:
    """Yield the files of an utterance that are not used, with the reasons."""
    failed = record.failed or ((record.problem,) if record.problem else ())
    yield from zip(task.sources, failed, strict=False)
    for source in task.sources[len(failed) + 1 :]:
        yield source, f"same name as {task.sources[len(failed)].name}"


def _load_if_valid(dump_dir: Path) -> Manifest | None:
    try:
        return Manifest.load(dump_dir)
    except DataError:
        return None
