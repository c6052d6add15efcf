"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` that replaces it when the block ends well.

    The folders above are made as needed. If the block raises, `path` is left as it was and the
    temporary file is removed.

    Args:
        path: the file to write.
    Returns:
        A context manager that yields the open binary file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A short name of its own: the target's may already be as long as the file system allows. Plain
    # open() rather than tempfile, whose files stay readable by their owner alone.
    temporary = path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
