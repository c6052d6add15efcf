"""The output of a student in training: a sample and the sample's own distribution."""

from typing import NamedTuple

from torch import Tensor

from flows import StandardLogistic, StandardNormal


class StudentSample(NamedTuple):
    """A differentiable sample, and the distribution of each x_t given the noise before t."""

    waveform: Tensor
    """x, shape (B, 1, T)."""
    loc: Tensor
    """Location (mean) of x_t given z_<t, shape (B, 1, T)."""
    log_scale: Tensor
    """Log-scale of x_t given z_<t in nats, shape (B, 1, T)."""
    flow_log_scales: tuple[Tensor, ...]
    """Log-scale of each flow in nats, noise side first, then the log-gain of a filter, shape
    (B, 1, T) each. In a frame student, each flow scales the rotated samples of a frame."""
    base: StandardNormal | StandardLogistic
    """Distribution of the noise: x_t given z_<t is this distribution, shifted and scaled."""
    voice: Tensor | None = None
    """The voice that x contains, shape (B, 1, T); None for a student without a voice."""
