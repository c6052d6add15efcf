"""Mixtures of logistics, one mixture for each scalar: parameters, densities and a fit to data."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from flows.transforms.transformers import LOG_SCALE_FLOOR, bound_log_scale, unbound_log_scales

FIT_ROWS = 4096  # hundreds of rows for each component; more rows cost time and change little
FIT_STEPS = 10  # EM makes most of its progress in the first five steps


class Mixture(NamedTuple):
    """K logistics for each scalar; every field has shape (B, K, ...)."""

    log_weights: Tensor
    locations: Tensor
    log_scales: Tensor


def split_mixture(params: Tensor, log_scale_floor: float = LOG_SCALE_FLOOR) -> Mixture:
    """Split parameters (B, 3 K, ...) into K logits, K locations and K raw log-scales.

    Raises:
        ValueError: if axis 1 of the parameters is not a multiple of three.
    """
    if params.dim() < 2 or params.shape[1] % 3:
        raise ValueError(f"params has shape {tuple(params.shape)}, expected (B, 3 K, ...)")
    logits, locations, raw = params.chunk(3, 1)
    return Mixture(F.log_softmax(logits, 1), locations, bound_log_scale(raw, log_scale_floor))


def mixture_log_prob(x: Tensor, params: Tensor, log_scale_floor: float = LOG_SCALE_FLOOR) -> Tensor:
    r"""Return the log-density of a mixture of logistics.

    .. math:: \log f(x) = \log \sum_k \frac{\pi_k}{s_k}\,
              \sigma\!\Big(\frac{x - \mu_k}{s_k}\Big)\,\sigma\!\Big(-\frac{x - \mu_k}{s_k}\Big)

    Args:
        x: data, shape (B, ...).
        params: K logits, K locations, K raw log-scales of each scalar, shape (B, 3 K, ...).
        log_scale_floor: lower bound of the log-scales in nats.
    Returns:
        log-density of each scalar in nats, shape of x.
    References:
        PixelCNN++ (Salimans et al., 2017), sec. 2.1: the density integrated over the steps of an
        8-bit pixel. arXiv:1701.05517
    """
    log_weights, locations, log_scales = split_mixture(params, log_scale_floor)
    u = (x[:, None] - locations) * torch.exp(-log_scales)
    return torch.logsumexp(log_weights + 2 * F.logsigmoid(u) - u - log_scales, 1)


def discretised_log_prob(
    x: Tensor, params: Tensor, num_bits: int = 16, log_scale_floor: float = LOG_SCALE_FLOOR
) -> Tensor:
    r"""Return the log-probability of the quantisation step that holds each value.

    .. math:: \log P(x) = \log \sum_k \pi_k \left[\sigma\!\Big(\frac{b - \mu_k}{s_k}\Big)
              - \sigma\!\Big(\frac{a - \mu_k}{s_k}\Big)\right]

    Here [a, b] is the step around the level nearest to x. The first step extends to minus infinity
    and the last step to infinity, so that the levels' probabilities sum to one. P is a probability
    of integer audio, at most 1. `mixture_log_prob` is a density: where the density is smooth over a
    step, log P is the log-density less (num_bits - 1) log 2.

    Args:
        x: data in [-1, 1], shape (B, ...); the levels of integer audio are j / 2^(num_bits - 1).
        params: parameters as in `mixture_log_prob`, shape (B, 3 K, ...).
        num_bits: number of bits of the integers.
        log_scale_floor: lower bound of the log-scales in nats.
    Returns:
        log-probability in nats, shape of x.
    References:
        PixelCNN++ (Salimans et al., 2017), eq. 2. arXiv:1701.05517
        Parallel WaveNet (van den Oord et al., 2018): P(x) for 16-bit audio. arXiv:1711.10433
    """
    log_weights, locations, log_scales = split_mixture(params, log_scale_floor)
    levels = 2.0 ** (num_bits - 1)
    level = torch.round(x * levels).clamp(-levels, levels - 1)
    scales = log_scales.exp()
    centre = (level / levels)[:, None] - locations
    lower, upper = (centre - 0.5 / levels) / scales, (centre + 0.5 / levels) / scales
    # sigma(b) - sigma(a) = sigma(b) sigma(-a) (1 - e^(a - b)) avoids cancellation.
    width = torch.log(-torch.expm1(-1 / (levels * scales)))
    from_below = torch.where((level == -levels)[:, None], -width, F.logsigmoid(-lower))
    from_above = torch.where((level == levels - 1)[:, None], -width, F.logsigmoid(upper))
    return torch.logsumexp(log_weights + width + from_below + from_above, 1)


def mixture_log_std(params: Tensor, log_scale_floor: float = LOG_SCALE_FLOOR) -> Tensor:
    r"""Return the log standard deviation of a mixture of logistics.

    .. math:: \operatorname{var} = \sum_k \pi_k \left[\tfrac{\pi^2}{3} s_k^2
              + (\mu_k - \bar\mu)^2\right]

    Args:
        params: parameters as in `mixture_log_prob`, shape (B, 3 K, ...).
        log_scale_floor: lower bound of the log-scales in nats.
    Returns:
        log standard deviation in nats, shape (B, ...).
    """
    log_weights, locations, log_scales = split_mixture(params, log_scale_floor)
    weights = log_weights.exp()
    mean = (weights * locations).sum(1, keepdim=True)
    variances = math.pi**2 / 3 * torch.exp(2 * log_scales) + (locations - mean).square()
    return 0.5 * torch.log((weights * variances).sum(1))


def sample_mixture(
    params: Tensor, choice: Tensor, noise: Tensor, log_scale_floor: float = LOG_SCALE_FLOOR
) -> Tensor:
    """Draw from mixtures of logistics: choose a component, then draw from it.

    The samples have the distribution of the samples of `MixtureCdf.inverse`, without its
    iterations. Equal noise does not give equal samples in the two functions.

    Args:
        params: parameters as in `mixture_log_prob`, shape (B, 3 K, ...).
        choice: uniform in [0, 1), shape (B, ...).
        noise: standard logistic, shape (B, ...).
        log_scale_floor: lower bound of the log-scales in nats.
    Returns:
        samples, shape (B, ...); not differentiable in the weights.
    """
    log_weights, locations, log_scales = split_mixture(params, log_scale_floor)
    below = log_weights.exp().cumsum(1)[:, :-1] <= choice[:, None]
    component = below.sum(1, keepdim=True)
    location, log_scale = (values.gather(1, component)[:, 0] for values in (locations, log_scales))
    return location + log_scale.exp() * noise


def fit_mixture(x: Tensor, num_components: int, log_scale_floor: float = LOG_SCALE_FLOOR) -> Tensor:
    r"""Fit a mixture to each column by a few steps of EM, to start maximum likelihood from.

    The components start at evenly spaced quantiles. The log-density of a logistic has a quadratic
    lower bound, which touches the log-density at a given :math:`u = (x - \mu) / s`. A step of EM
    maximises this bound, and never lowers the likelihood. It computes weighted means, where r are
    the responsibilities of the components:

    .. math:: w = r\,\frac{\tanh(u / 2)}{2 u}, \qquad \mu = \frac{\sum w x}{\sum w}, \qquad
              s^2 = \frac{2 \sum w (x - \mu)^2}{\sum r}, \qquad \pi = \frac{1}{N} \sum r

    Args:
        x: rows of data, shape (N, D), at least two; at most 4,096 evenly spaced rows are used.
        num_components: logistics in each mixture, K.
        log_scale_floor: lower bound of the log-scales in nats.
    Returns:
        parameters as in `mixture_log_prob`, shape (3 K, D).
    Raises:
        ValueError: if there are fewer than two rows.
    References:
        Bayesian parameter estimation via variational methods (Jaakkola & Jordan, 2000): the bound.
    """
    if x.dim() != 2 or x.shape[0] < 2:
        raise ValueError(f"x has shape {tuple(x.shape)}, expected (N, D) with at least two rows")
    rows = x[:: -(-x.shape[0] // FIT_ROWS)]
    params = _spread(rows, num_components, log_scale_floor)
    for _ in range(FIT_STEPS):
        params = _em_step(rows[:, None], params, log_scale_floor)
    return params


def _spread(x: Tensor, num_components: int, log_scale_floor: float) -> Tensor:
    """Place components of equal weight at quantiles of x (N, D); return parameters (3 K, D)."""
    levels = torch.arange(num_components + 1, dtype=x.dtype, device=x.device) / num_components
    locations = torch.quantile(x, 0.5 * (levels[1:] + levels[:-1]), 0)
    # The outermost distances end a tenth of a component's probability before the extreme values.
    margin = 0.1 / num_components
    distances = torch.quantile(x, levels.clamp(margin, 1 - margin), 0).diff(dim=0)
    raw = unbound_log_scales(torch.log(0.4 * distances), log_scale_floor)
    return torch.cat([torch.zeros_like(locations), locations, raw])


def _em_step(x: Tensor, params: Tensor, log_scale_floor: float) -> Tensor:
    """Return parameters (3 K, D) after one step of EM on rows x (N, 1, D)."""
    log_weights, locations, log_scales = split_mixture(params[None], log_scale_floor)
    u = (x - locations) * torch.exp(-log_scales)
    # A component with no responsibility at all would have neither mean nor scale: keep a minimum.
    r = torch.softmax(log_weights + 2 * F.logsigmoid(u) - u - log_scales, 1).clamp(min=1e-9)
    w = r * torch.where(u.abs() < 1e-3, 0.25, torch.tanh(0.5 * u) / (2 * u))
    total = r.sum(0)
    locations = (w * x).sum(0) / w.sum(0)
    squares = 2 * (w * (x - locations).square()).sum(0) / total
    raw = unbound_log_scales(0.5 * torch.log(squares), log_scale_floor)
    return torch.cat([torch.log(total / len(x)), locations, raw])
