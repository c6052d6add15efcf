"""The error of a training run, in its own module, so that catching it does not load PyTorch."""


class TrainingError(RuntimeError):
    """Training cannot continue; the message says why, and where the last good state is."""
