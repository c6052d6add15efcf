"""The training loop, its tasks, and the files that a run writes."""
