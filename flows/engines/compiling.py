"""One line on standard error before a large function is compiled, because the user waits for it.

numba keeps the compiled code in its cache folder (`storage.cache_folders`). A later run loads the
code, and says nothing.
"""

import sys
from collections.abc import Callable
from typing import Any

from numba.core import event
from tqdm import tqdm

_ANNOUNCED: dict[Callable[..., None], str] = {}  # large functions, and the line about each


def announce(function: Callable[..., None], name: str, seconds: int) -> None:
    """Have a line printed whenever numba begins to compile a function.

    Args:
        function: a function decorated by numba.
        name: the function in words.
        seconds: the time that the function takes to compile, on one core of a Zen 5 processor.
    """
    line = f"parallel-wavenet: compiling {name} for this processor, once: about {seconds} s"
    _ANNOUNCED[function] = line


class _Announcer(event.Listener):
    """Prints the line of each function that numba begins to compile."""

    def on_start(self, event: Any) -> None:
        """Print the function's line, if it has one."""
        line = _ANNOUNCED.get(event.data["dispatcher"])
        if line is not None and sys.stderr is not None:
            tqdm.write(line, file=sys.stderr)  # not into a progress bar

    def on_end(self, event: Any) -> None:
        """Do nothing: the listener must have this method."""


event.register("numba:compile", _Announcer())
