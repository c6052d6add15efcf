"""The processors that this process may use."""

import os


def num_processors() -> int:
    """Count the processors that this process may use; a container may allow only some of them."""
    if hasattr(os, "sched_getaffinity"):  # Linux has it, macOS does not
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
