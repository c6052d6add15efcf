"""TensorBoard's event file, written without a thread.

TensorBoard's own writer has a thread. On a full disk the thread prints a traceback, and a program
that waits for the thread may wait forever.
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
    """An event file of summaries, in the order in which they are added.

    Args:
        folder: folder that gets a new file for each run; made if missing.
        first_step: step of the state from which the run resumes. TensorBoard ignores later steps in
            the folder's earlier files.
    Raises:
        OSError: here or in a later call, if the disk is full.
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
        """Hand the written bytes to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, event: Event) -> None:
        self._records.write(event.SerializeToString())
