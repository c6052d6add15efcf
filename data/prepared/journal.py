"""What has been prepared so far, kept as it happens, so that an interrupted run goes on."""

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
    """The file `journal.jsonl` of a dump folder: one record a line, a later line of a name wins.

    Runs that share the work keep a file each, `journal-PART.jsonl`, and read all.

    Args:
        dump_dir: the folder; lines that cannot be read, as the last one of a run that was killed,
            only mean that their utterances are done again.
        part: name of the share of the work, if it is shared.
    """

    def __init__(self, dump_dir: Path, part: str = "") -> None:
        self._dump_dir = dump_dir
        self._path = dump_dir / (f"journal-{part}.jsonl" if part else "journal.jsonl")
        self.records: dict[str, Record] = {}
        for path in [dump_dir / "journal.jsonl", *self._parts()]:
            if not path.exists():
                continue
            # Not splitlines(): names may hold what it takes for the end of a line, such as U+2028.
            for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
                try:
                    record = decode(Record, json.loads(line), "record")
                except (ValueError, RecursionError):
                    continue
                self.records[record.name] = record

    def is_current(self, task: PrepareTask) -> bool:
        """Whether the task has been done, and neither its source nor its outputs changed since."""
        return task.name in self.records and self.records[task.name].is_current(task)

    def add(self, record: Record) -> None:
        """Take note of a record at once."""
        self.records[record.name] = record
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._path, "ab") as file:
            file.write(_line(record))

    def gone(self, names: Iterable[str]) -> list[str]:
        """List the other utterances, whose sources are gone, as far as their outputs are there.

        The rest are forgotten. Outputs stay: a disk that is not there today may be tomorrow.

        Args:
            names: of the utterances whose sources are there.
        Returns:
            names, sorted.
        """
        kept = []
        for name in sorted(self.records.keys() - set(names)):
            if waveform_path(self._dump_dir, name).exists():
                kept.append(name)
            else:
                del self.records[name]
        return kept

    def compact(self) -> None:
        """Rewrite the file with one line for each utterance, those of all parts."""
        with atomic_write(self._path) as file:
            file.writelines(_line(record) for _, record in sorted(self.records.items()))
        for path in self._parts():
            path.unlink()

    def _parts(self) -> list[Path]:
        return sorted(self._dump_dir.glob("journal-*.jsonl"))


def _line(record: Record) -> bytes:
    # Of a name that is not UTF-8, the bytes that Python keeps as surrogates become JSON's escapes.
    text = json.dumps(asdict(record), ensure_ascii=False) + "\n"
    return text.encode(errors="backslashreplace")
