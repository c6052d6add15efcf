"""This process's place among those that a launcher started for one run, from the environment."""

import os


def rank() -> int:
    """Return the number of this process among all, from 0; process 0 writes."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Return how many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_rank() -> int:
    """Return the number of this process among those on the same machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", "0"))
