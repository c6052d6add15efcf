"""Files of results, which `evaluate` and `benchmark` have written."""

import json
from pathlib import Path
from typing import Any

EVALUATION_FIELDS = {"source": str, "minutes": float, "systems": dict, "utterances": list}
"""Fields of `evaluate`'s results that a page or a summary reads, and their types."""

BENCHMARK_FIELDS = {"device": str, "threads": int, "peak_gflops": dict, "rows": list}
"""Fields of `benchmark`'s results that a page or a summary reads, and their types."""


class ResultsError(ValueError):
    """A file of results that cannot be used; the message names it."""


def read_results(path: Path, fields: dict[str, type]) -> dict[str, Any]:
    """Read a file of results.

    Args:
        path: a JSON file.
        fields: names and types of fields that it must have.
    Raises:
        ResultsError: if the file is missing, unreadable, or of other fields.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path}: cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise ResultsError(f"{path}: holds {type(found).__name__}, expected an object of results")
    for name, kind in fields.items():
        if not isinstance(found.get(name), kind):
            given = type(found[name]).__name__ if name in found else "missing"
            raise ResultsError(
                f"{path}: {name} is {given}, expected {kind.__name__}: write the file again with "
                "this version of the program"
            )
    return found
