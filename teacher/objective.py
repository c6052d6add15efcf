"""The objective of a teacher: the likelihood of clean samples given a noisy past."""

import math

import torch
from torch import Tensor

from dsp.filters.recursive import recursive_filter
from flows import StandardNormal, discretised_log_prob
from teacher.distributions import LogisticMixture
from teacher.model import Teacher

INT16_STEPS = 32768.0
"""Steps of 16-bit audio per unit of a waveform in [-1, 1]."""

DE_EMPHASIS = 0.6
"""Pole of the filter that shapes the noise on the past. The noise has 12 dB less power at half the
sample rate than at 0 Hz."""


def training_log_probs(
    teacher: Teacher,
    waveform: Tensor,
    log_mel: Tensor,
    past_noise: Tensor | None = None,
    noise_level: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    r"""Return the log-densities of clean samples under the teacher and under its predictor alone.

    The past of the samples is noisy: noise is added to the waveform that the linear predictor and
    the network read, and not to the samples that they predict. So both learn to recover from small
    errors in the past.

    The linear predictor alone defines a density p_0, under which its errors e are white noise of
    level 1:

    .. math:: \log p_0(x \mid c) = \sum_t g + \log \mathcal{N}(e_t;\, 0, 1)

    The network could compensate for any gain g of the predictor. If training also maximises p_0,
    the errors keep the level 1, on which the network and the noise rely.

    Args:
        teacher: the model to train.
        waveform: see `Teacher.log_prob`.
        log_mel: see `Teacher.log_prob`.
        past_noise: noise, shape (B, 1, T), or None for a clean past. See `noise_like`.
        noise_level: level of `past_noise`, divided by `TeacherConfig.past_noise`, shape (B,); None
            for the level `TeacherConfig.assumed_noise`.
    Returns:
        log-density under the teacher (log-probability, if the teacher is `discretised`) in nats,
        shape (B,); log-density under the predictor alone in nats, shape (B,), or None if there is
        no predictor.
    References:
        LPCNet (Valin & Skoglund, 2019), sec. 3.8: noise on the network's inputs, and the
        clean signal less the prediction from the noisy one. arXiv:1810.11846
    """
    if teacher.config.discretised:
        return sixteen_bit_log_prob(teacher, waveform, log_mel), None
    frames = teacher.context_frames(waveform, log_mel, noise_level)
    past = waveform if past_noise is None else waveform + past_noise
    shift, log_gain = teacher.shift_and_log_gain(past, frames)
    log_det = log_gain.flatten(1).sum(1)
    residual = teacher.folded(waveform * log_gain.exp() + shift)
    params = teacher.wavenet(teacher.folded(past * log_gain.exp() + shift), frames)
    z, log_scales = teacher.transformer(residual, params)
    of_base = (teacher.flow.base.log_prob(z) + log_scales).flatten(1).sum(1)
    if teacher.error_filter is None:
        return of_base + log_det, None
    of_white_noise = StandardNormal().log_prob(residual).flatten(1).sum(1)
    return of_base + log_det, of_white_noise + log_det


def sixteen_bit_log_prob(teacher: Teacher, waveform: Tensor, log_mel: Tensor) -> Tensor:
    """Return the log-probability of whole 16-bit waveforms.

    The waveforms, and with them the network's input, are first rounded to 16 bits. The result is a
    probability, at most 1. The flow and `log_prob` still compute the continuous density.

    Args:
        teacher: a teacher with a mixture distribution, and without linear predictor.
        waveform: see `Teacher.log_prob`. The rounding removes dither of at most half a step.
        log_mel: see `Teacher.log_prob`.
    Returns:
        log-probability in nats, shape (B,). Divide the negative log-probability by T log 2 for bits
        per sample.
    Raises:
        ValueError: if the teacher's distribution is not a mixture or the teacher has a linear
            predictor, or if the shapes do not fit each other.
    """
    if teacher.error_filter is not None:
        raise ValueError(
            f"teacher.filter_order is {teacher.config.filter_order}, expected 0: the probability "
            "of 16-bit steps is that of a teacher without linear predictor"
        )
    if not isinstance(teacher.distribution, LogisticMixture):
        raise ValueError(
            f"teacher.distribution is {teacher.config.distribution!r}: the probability of 16-bit "
            "steps is that of a 'mixture'"
        )
    rounded = torch.round(waveform * INT16_STEPS).clamp(-INT16_STEPS, INT16_STEPS - 1)
    rounded = rounded / INT16_STEPS
    params = teacher.prediction(rounded, log_mel).params
    floor = teacher.distribution.transformer.log_scale_floor
    return discretised_log_prob(rounded, params, 16, floor).flatten(1).sum(1)


def noise_like(waveform: Tensor, white: Tensor, hop_length: int) -> Tensor:
    """Give white noise the local level of a waveform, and a falling spectrum like that of speech.

    Args:
        waveform: shape (B, 1, T), T a multiple of hop_length.
        white: white noise with a standard deviation of at most 1, shape (B, 1, T).
        hop_length: samples in a conditioning frame.
    Returns:
        noise, shape (B, 1, T): `white` times the RMS of the waveform in each conditioning frame,
        then low-pass filtered. The filter (`DE_EMPHASIS`) keeps the power of white noise.
    """
    levels = waveform.unflatten(-1, (-1, hop_length)).square().mean(-1).sqrt()
    scaled = white * levels.repeat_interleave(hop_length, -1)
    scaled = scaled * math.sqrt(1 - DE_EMPHASIS**2)
    taps = scaled.new_full((scaled.shape[0], 1, 1), DE_EMPHASIS)
    return recursive_filter(scaled[:, 0], taps)[:, None]
