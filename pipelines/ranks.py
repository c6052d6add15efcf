"""The number of processes of a run, and this one's number, from the launcher's variables."""

import os


def rank() -> int:
    """Return the number of this process in the run, from 0; process 0 writes the files."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Return how many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_rank() -> int:
    """Return the number of this process among those on the same machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", "0"))
