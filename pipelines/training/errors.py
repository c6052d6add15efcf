"""The error of a training run, apart from the loop: who catches it need not load PyTorch."""


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why and where the last good state is."""
