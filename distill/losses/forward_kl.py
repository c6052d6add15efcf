"""The forward KL, from teacher to student, estimated on a waveform."""

import torch
from torch import Tensor

from student import Student
from teacher import Teacher


def forward_kl(student: Student, teacher: Teacher, waveform: Tensor, log_mel: Tensor) -> Tensor:
    r"""Return the difference of a waveform's log-densities under teacher and student.

    .. math:: \frac1T \left[\log p(x \mid c) - \log q(x \mid c)\right], \qquad
              x \sim p \;\Rightarrow\; \mathrm{E}[\cdot] = \frac1T\,\mathrm{KL}(p \,\|\, q)

    On samples of the teacher, the mean difference estimates KL(p || q). On recordings, the
    difference is negative if the student is the better model of the recordings. In both cases the
    gradient of the student is the gradient of maximum likelihood. The forward KL makes a student
    cover everything that the teacher finds likely; the reverse KL lets the student choose a part.

    Computing the student's density is slow: it takes T sequential steps through every flow, and T
    more steps for the gradient. Clips of a few hundred samples are feasible, whole utterances are
    not.

    Args:
        student: computes the waveform's noise step by step.
        teacher: frozen; runs one parallel pass.
        waveform: shape (B, 1, T); both models assume silence before the first sample.
        log_mel: conditioning of both models, shape (B, num_features, L) or with margins.
    Returns:
        nats per sample, scalar.
    """
    log_q = student.log_prob(waveform, log_mel)
    with torch.no_grad():
        log_p = teacher.log_prob(waveform, log_mel)
    return (log_p - log_q).mean() / waveform.shape[-1]
