"""From a folder of recordings to waveforms and log-mel frames ready for training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tqdm import tqdm

from data.audio.outputs import mark_output
from data.corpora.catalogue import search_speech
from data.prepared.given_mels import MelSource
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
from data.prepared.split import assign_splits, check_shares
from data.prepared.statistics import training_statistics
from dsp.mel import MelConfig
from dsp.pitch import PitchConfig
from storage.folder_lock import folder_lock


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """How a corpus is turned into features.

    Args:
        corpus: a name of `CORPORA`, several joined by "+", or a folder, as given to `fetch`; says
            which files are not speech, and is recorded.
        mel: the log-mel convention, with the sample rate.
        pitch: whether the models are given pitch and voicing, too, and how they are measured.
        mels: whether the log-mels are computed from the recordings, or given in files beside them.
        min_seconds: shorter files are skipped.
        val_percent: share of utterances held out for validation.
        test_percent: share of utterances held out for the test.
        num_workers: processes; 0 chooses by the number of processors and of files.
    Raises:
        ValueError: names the field, its value and what was expected.
    """

    corpus: str = "allison"
    mel: MelConfig = field(default_factory=MelConfig)
    pitch: PitchConfig = field(default_factory=PitchConfig)
    mels: MelSource = field(default_factory=MelSource)
    min_seconds: float = 0.3
    val_percent: float = 5.0
    test_percent: float = 5.0
    num_workers: int = 0

    def __post_init__(self) -> None:
        if not self.corpus:
            raise ValueError("corpus is '', expected a name or a folder")
        check_shares(self.val_percent, self.test_percent)
        if not self.min_seconds >= 0:
            raise ValueError(f"min_seconds is {self.min_seconds!r}, expected >= 0")
        if self.num_workers < 0:
            raise ValueError(f"num_workers is {self.num_workers!r}, expected >= 0")
        if self.pitch.num_rows and self.pitch.fmax_hz > self.mel.sample_rate / 4:
            raise ValueError(
                f"pitch.fmax_hz is {self.pitch.fmax_hz}, expected at most a quarter of "
                f"mel.sample_rate {self.mel.sample_rate}"
            )


def prepare(
    corpus_folder: Path, dump_dir: Path, config: PrepareConfig, *, progress: bool = True
) -> Manifest:
    """Prepare every recording of a corpus; a second run does only what has changed.

    Each file becomes `dump_dir/waveforms/NAME.npy` (int16, T a multiple of the hop: the last,
    incomplete frame is dropped) and `dump_dir/mels/NAME.npy` (float32, num_mels × L, and below the
    bands the rows of `config.pitch`), computed from the stored waveform, or given beside the
    recording (`config.mels`, see `read_given`). A file is done again when
    its size or time of change, the settings or the outputs are not what `dump_dir/journal.jsonl`
    says. Outputs whose source is gone stay, and are no longer used. Unusable files are skipped and
    listed with their reasons in the manifest and in `dump_dir/report.txt`.

    Args:
        corpus_folder: as returned by `fetch`.
        dump_dir: where to write.
        config: how.
        progress: show a progress bar.
    Returns:
        The manifest, which is also in `dump_dir/manifest.json`.
    Raises:
        DataError: if fewer than three usable utterances are left, or `dump_dir` cannot be written.
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
    """Prepare a share of a corpus's recordings: for one of several processes or machines.

    When all parts are done, `prepare` finds nothing left to do and describes them.

    Args:
        corpus_folder: as returned by `fetch`, by the same path for all.
        dump_dir: where to write, the same for all.
        config: how, the same for all.
        part: which share, from 0.
        num_parts: how many shares there are.
        progress: show a progress bar.
    Returns:
        The number of recordings that were not done already.
    Raises:
        DataError: if the part is not one of them, or `dump_dir` cannot be written.
        AudioError: if `corpus_folder` is not a folder.
        FolderInUseError: if another run is writing the part, or all.
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
    """One task per name, whatever the suffix, and what the search left out."""
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
    """Where a dump folder stands.

    Args:
        records: one for each task.
        gone: names of utterances that have features, but no source any more.
        is_changed: whether there was anything to do.
    """

    records: list[Record]
    gone: list[str]
    is_changed: bool


def _bring_up_to_date(
    tasks: Sequence[PrepareTask], dump_dir: Path, num_workers: int, progress: bool
) -> _Done:
    """Do what is not done."""
    journal = Journal(dump_dir)
    gone = journal.gone(task.name for task in tasks)
    if gone and not tasks:
        raise DataError(
            f"{dump_dir}: the corpus has no audio any more, as if its disk were not there; the "
            f"features of {len(gone)} recordings are kept"
        )
    num_made = _make_pending(tasks, journal, dump_dir, num_workers, progress)
    journal.compact()
    return _Done([journal.records[task.name] for task in tasks], gone, num_made > 0)


def _make_pending(
    tasks: Sequence[PrepareTask], journal: Journal, dump_dir: Path, num_workers: int, progress: bool
) -> int:
    """Do the tasks that are not done, and count them."""
    pending = [task for task in tasks if not journal.is_current(task)]
    if pending:
        # What it says is about to stop being true.
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
    """Make the manifest, or find the one that is there still true."""
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
    """Files of an utterance that are not used, and why."""
    failed = record.failed or ((record.problem,) if record.problem else ())
    yield from zip(task.sources, failed, strict=False)
    for source in task.sources[len(failed) + 1 :]:
        yield source, f"same name as {task.sources[len(failed)].name}"


def _load_if_valid(dump_dir: Path) -> Manifest | None:
    try:
        return Manifest.load(dump_dir)
    except DataError:
        return None
