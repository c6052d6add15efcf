"""No command writes over a file that it reads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class OverwriteError(ValueError):
    """An output would replace an input; the message names both."""


def refuse_overwriting(inputs: Iterable[Path], outputs: Iterable[Path]) -> None:
    """Raise an error if an output is an input, before anything is computed.

    Files are compared as the file system knows them, so that links and names that differ in case
    alone, where case does not count, are found as well.

    Args:
        inputs: files that a command reads.
        outputs: files that it is about to write, whether they exist or not.
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
    """Device and number of a file; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
