"""The journal of what has been prepared, so that an interrupted run can continue."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from data.prepared.manifest import waveform_path
from data.prepared.recording import PrepareTask, Record
from storage.atomic import atomic_write
from storage.configuration import decode


class Journal:
    """The journal of a dump folder: the outcome of each utterance's preparation.

    The journal is the file `journal.jsonl`, with one record a line. If several lines have one
    utterance's name, the last line counts. A line that cannot be read, such as the last line of a
    killed run, only means that its utterance is prepared again. Runs that share the work each write
    their own file `journal-PART.jsonl`, and read all files.

    Args:
        dump_dir: the folder.
        part: name of this run's share of the work, if the work is shared.
    """

    def __init__(self, dump_dir: Path, part: str = "") -> None:
        self._dump_dir = dump_dir
        self._path = dump_dir / (f"journal-{part}.jsonl" if part else "journal.jsonl")
        self.records: dict[str, Record] = {}
        for path in [dump_dir / "journal.jsonl", *self._parts()]:
            if not path.exists():
                continue
            # Not splitlines(): a name may hold a character that it splits at, such as U+2028.
            for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
                try:
                    record = decode(Record, json.loads(line), "record")
                except (ValueError, RecursionError):
                    continue
                self.records[record.name] = record

    def is_current(self, task: PrepareTask) -> bool:
        """Whether the task was done, and its sources and outputs have not changed since."""
        return task.name in self.records and self.records[task.name].is_current(task)

    def begin(self) -> None:
        """Create the journal's file, before the first features: it marks the folder as a dump."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch()

    def add(self, record: Record) -> None:
        """Write a record to the journal at once."""
        self.records[record.name] = record
        with open(self._path, "ab") as file:
            file.write(_line(record))

    def gone(self, names: Iterable[str]) -> list[str]:
        """List the utterances that have a prepared waveform but no source any more.

        These files are kept, because a disk that is missing today may be there again tomorrow.
        Utterances with neither source nor waveform are deleted from `records`.

        Args:
            names: names of the utterances whose sources exist.
        Returns:
            names of the other utterances whose waveforms exist, sorted.
        """
        kept = []
        for name in sorted(self.records.keys() - set(names)):
            if waveform_path(self._dump_dir, name).exists():
                kept.append(name)
            else:
                del self.records[name]
        return kept

    def compact(self) -> None:
        """Rewrite the journal with one line for each utterance; delete the files of shared work."""
        with atomic_write(self._path) as file:
            file.writelines(_line(record) for _, record in sorted(self.records.items()))
        for path in self._parts():
            path.unlink()

    def _parts(self) -> list[Path]:
        return sorted(self._dump_dir.glob("journal-*.jsonl"))


def _line(record: Record) -> bytes:
    # Python keeps the undecodable bytes of a name as surrogates, written here as JSON's escapes.
    text = json.dumps(asdict(record), ensure_ascii=False) + "\n"
    return text.encode(errors="backslashreplace")
