"""What a student returns in training: a sample and its own distribution."""

from typing import NamedTuple

from torch import Tensor

from flows import StandardLogistic, StandardNormal


class StudentSample(NamedTuple):
    """A differentiable sample and its own distribution, step by step."""

    waveform: Tensor
    """x, shape (B, 1, T)."""
    loc: Tensor
    """Location of x_t given z_<t, its mean, shape (B, 1, T)."""
    log_scale: Tensor
    """Log-scale of x_t given z_<t in nats, shape (B, 1, T)."""
    flow_log_scales: tuple[Tensor, ...]
    """Each flow's own log-scale, noise side first, shape (B, 1, T) each; a filter's log-gain is the
    last. Of a frame student, those of the mixed samples of each frame."""
    base: StandardNormal | StandardLogistic
    """What x_t given z_<t is, shifted and scaled."""
    voice: Tensor | None = None
    """What the context alone adds to x, shape (B, 1, T); None of a student without a voice."""
