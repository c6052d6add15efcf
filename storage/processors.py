"""The processors that this process may use."""

import os


def num_processors() -> int:
    """Count the processors that this process may use: in a container, perhaps not all."""
    if hasattr(os, "sched_getaffinity"):  # Linux has it, macOS does not
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
