"""Checks that no command overwrites a file that it reads, or a file that is not its own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class OverwriteError(ValueError):
    """An output would replace an input, or a file of somebody else; the message names it."""


def refuse_overwriting(inputs: Iterable[Path], outputs: Iterable[Path]) -> None:
    """Raise an error if an output file is also an input file, before anything is computed.

    Files are compared by device and number in the file system. So an output is also found under
    another name: through a link, or where the file system ignores case.

    Args:
        inputs: files that the command reads.
        outputs: files that the command will write; they need not exist.
    Raises:
        OverwriteError: names the first output that is an input.
    """
    read: dict[tuple[int, int], Path] = {}
    for path in inputs:
        identity = _identity(path)
        if identity is not None:
            read.setdefault(identity, path)
    for output in outputs:
        identity = _identity(output)
        if identity in read:
            source = read[identity]
            which = "an input" if source == output else f"the input {source}"
            raise OverwriteError(
                f"{output}: is {which} of this command and would be written over: choose another "
                "--out"
            )


def _identity(path: Path) -> tuple[int, int] | None:
    """Return a file's device and number; None if the file does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
