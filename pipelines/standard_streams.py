"""Standard input, output and error, any of which may be closed when the program starts."""

import io
import os
import sys
from contextlib import suppress
from typing import TextIO


def open_standard_streams() -> None:
    """Open closed standard streams on the null device, and let output print any name.

    A closed stream would make printing fail. Worse, the next file that is opened would get the
    closed stream's number, and then libraries' messages. Names that are not UTF-8 are printed with
    their bytes as escapes.
    """
    for number in range(3):
        with suppress(OSError):
            os.fstat(number)
            continue
        os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, the closed stream's
    # These files stay open as long as the process lives.
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        with suppress(OSError):
            sys.stdout.reconfigure(errors="backslashreplace")


def drop_unwritable_output() -> None:
    """Discard output that cannot be written, because Python would try again when it exits."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def tell(message: str) -> None:
    """Print a line on standard error, if that is possible."""
    with suppress(OSError):
        print(message, file=sys.stderr, flush=True)


def is_open(stream: TextIO) -> bool:
    """Tell whether the process was started with this stream open."""
    return getattr(stream, "name", "") != os.devnull
