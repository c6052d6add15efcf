"""TensorBoard's event file, written at once.

TensorBoard's own writer has a thread: on a full disk that prints a traceback, and who waits for it
may wait for ever.
"""

import os
import socket
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

VERSION = "brain.Event:2"


class EventFile:
    """Summaries in the order in which they come.

    Args:
        folder: gets one file for each run; made if need be.
        first_step: of the state that the run resumes from: TensorBoard drops what earlier files of
            the folder say of later steps.
    Raises:
        OSError: here or later, if the disk is full.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        now, host = time.time(), socket.gethostname()
        path = folder / f"events.out.tfevents.{now:.6f}.{host}.{os.getpid()}"
        self._file = path.open("wb")
        self._records = RecordWriter(self._file)
        self._write(Event(wall_time=now, file_version=VERSION))
        if first_step:
            restart = SessionLog(status=SessionLog.START)
            self._write(Event(wall_time=now, step=first_step, session_log=restart))
        self.flush()

    def add(self, summary: Summary, step: int) -> None:
        """Write a summary (see `torch.utils.tensorboard.summary`)."""
        self._write(Event(wall_time=time.time(), step=step, summary=summary))

    def flush(self) -> None:
        """Hand what was written to the system."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, event: Event) -> None:
        self._records.write(event.SerializeToString())
