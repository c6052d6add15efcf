"""Errors of a training run, in their own module, so that catching them does not load PyTorch."""


class TrainingError(RuntimeError):
    """Training cannot continue; the message says why, and where the last good state is."""


class LostProcessError(TrainingError):
    """Another process of the run has ended, or cannot be reached."""
