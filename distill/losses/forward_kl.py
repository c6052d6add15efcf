"""The divergence the other way round, for study: how well the student covers the data."""

import torch
from torch import Tensor

from student import Student
from teacher import Teacher


def forward_kl(student: Student, teacher: Teacher, waveform: Tensor, log_mel: Tensor) -> Tensor:
    r"""Score a waveform by both densities.

    .. math:: \frac1T \left[\log p(x \mid c) - \log q(x \mid c)\right], \qquad
              x \sim p \;\Rightarrow\; \mathrm{E}[\cdot] = \frac1T\,\mathrm{KL}(p \,\|\, q)

    On samples of the teacher this estimates KL(p || q). On recordings it is the difference of two
    codes' lengths, negative where the student is the better model of them; the student's gradient
    is that of maximum likelihood either way. It makes a student cover what the teacher finds
    likely, where the reverse divergence makes it choose.

    The student's density is its slow direction: T steps in sequence through every flow, and as many
    again for the gradient. Clips of a few hundred samples are feasible, whole utterances are not.

    Args:
        student: its noise is found step by step.
        teacher: frozen; one parallel pass.
        waveform: shape (B, 1, T); before its start both are told silence.
        log_mel: as both models take it.
    Returns:
        nats per sample, scalar.
    """
    frames = student.context(log_mel, waveform.shape[-1] // student.config.hop_length)
    log_q = student.flow.log_prob(waveform, frames)
    with torch.no_grad():
        log_p = teacher.log_prob(waveform, log_mel)
    return (log_p - log_q).mean() / waveform.shape[-1]
