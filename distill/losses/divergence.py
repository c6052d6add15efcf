"""The KL of student and teacher for each sample, in closed form or by Monte Carlo."""

import math
from typing import Literal

import torch
from torch import Tensor

from distill.losses.kl import gaussian_kl, log_scale_regulariser
from distill.losses.monte_carlo import monte_carlo_kl
from flows import Affine, StandardNormal
from student import StudentSample
from teacher import Teacher

Estimator = Literal["auto", "closed_form", "monte_carlo"]


def has_closed_form(sample: StudentSample, teacher: Teacher) -> bool:
    """Tell whether both distributions are Gaussian."""
    return isinstance(sample.base, StandardNormal) and isinstance(teacher.transformer, Affine)


def divergence(
    sample: StudentSample,
    teacher: Teacher,
    log_mel: Tensor,
    estimator: Estimator = "auto",
    num_draws: int = 16,
    generator: torch.Generator | None = None,
    start: int = 0,
) -> tuple[Tensor, Tensor]:
    """Compare the student's and the teacher's distribution of each sample given earlier samples.

    The teacher runs one pass over the student's sample. The divergence is computed in float32,
    whatever precision the networks have, because it contains squares of small scales.

    Args:
        sample: T samples drawn by the student, and their distributions.
        teacher: predicts the distribution of each sample; gradients flow through its input.
        log_mel: conditioning of the teacher.
        estimator: "closed_form", "monte_carlo", or "auto" for the closed form if it exists, else
            Monte Carlo.
        num_draws: Monte-Carlo draws of each sample.
        generator: source of the draws, on the sample's device; by default, every call uses a fixed
            seed.
        start: number of samples at the beginning that are left out.
    Returns:
        KL(student || teacher) in nats, and squared difference of the log standard deviations, shape
        (B, 1, T - start) each.
    Raises:
        ValueError: if `estimator` is "closed_form" and student or teacher is not Gaussian.
    """
    closed = has_closed_form(sample, teacher)
    if estimator == "closed_form" and not closed:
        raise ValueError(
            f"no KL in closed form between a student of base {type(sample.base).__name__} and a "
            f"teacher of distribution {teacher.config.distribution!r}: use 'monte_carlo'"
        )
    prediction = teacher.prediction(sample.waveform, log_mel).after(start).float()
    q = (sample.loc[..., start:].float(), sample.log_scale[..., start:].float())
    if closed and estimator != "monte_carlo":
        p = prediction.location_and_log_scale()
        return gaussian_kl(*q, *p), log_scale_regulariser(q[1], p[1])
    if generator is None:
        generator = torch.Generator(q[0].device).manual_seed(0)
    noise = sample.base.sample(q[0].new_empty(*q[0].shape, num_draws), generator)
    kl = monte_carlo_kl(*q, noise, sample.base, prediction.log_prob)
    log_std_q = q[1] + math.log(sample.base.std)
    return kl, log_scale_regulariser(log_std_q, prediction.log_std)
