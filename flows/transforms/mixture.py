"""Mixture CDF transformers: each scalar passes through the CDF of its own mixture of logistics.

The mixture's CDF, followed by the inverse CDF of the base, maps the mixture to the base. An
autoregressive flow of one such step is the mixture-of-logistics model. Layers of such steps between
rotations are a Gaussianization flow.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from flows.logistic_mixture import Mixture, fit_mixture, split_mixture
from flows.normal_quantile import log_mills_ratio, normal_quantile
from flows.transforms.transformers import LOG_SCALE_FLOOR, Transformer

BASES = ("normal", "logistic")
MAX_ITERATIONS = 200  # more iterations than bisection between any two floats needs


class MixtureCdf(Transformer):
    r"""Map each scalar by its mixture's CDF F, then by the base's inverse CDF.

    .. math:: z = \Phi^{-1}(F(x)), \qquad F(x) = \sum_k \pi_k\, \sigma((x - \mu_k) / s_k), \qquad
              \log\frac{dz}{dx} = \log f(x) - \log \phi(z)

    F is computed as the log-probability of the smaller tail, so that it never rounds to 0 or 1. The
    inverse has no closed form. Newton's method inside a bracket finds the inverse to rounding, and
    the implicit function theorem differentiates it, once only.

    Args:
        num_components: logistics in each mixture, K.
        log_scale_floor: lower bound of each log-scale in nats.
        base: distribution of the noise, "normal" or "logistic" (then z = log F - log(1 - F)).
    Raises:
        ValueError: if there are no components or the base is unknown.
    References:
        Gaussianization flows (Meng et al., 2020). arXiv:2003.01941
        Flow++ (Ho et al., 2019), sec. 3.2: with the logistic base. arXiv:1902.00275
    """

    def __init__(
        self,
        num_components: int,
        log_scale_floor: float = LOG_SCALE_FLOOR,
        base: str = "normal",
    ) -> None:
        super().__init__()
        if num_components < 1:
            raise ValueError(f"num_components is {num_components}, expected at least 1")
        if base not in BASES:
            raise ValueError(f"base is {base!r}, expected one of {', '.join(BASES)}")
        self.num_components = num_components
        self.num_params = 3 * num_components
        self.log_scale_floor = log_scale_floor
        self.base = base

    def split(self, params: Tensor) -> Mixture:
        """Read parameters (B, 3 K, ...) as the mixture of each scalar.

        Raises:
            ValueError: if the parameters have another shape.
        """
        if params.shape[1] != self.num_params:
            raise ValueError(
                f"params has shape {tuple(params.shape)}, expected (B, {self.num_params}, ...)"
            )
        return split_mixture(params, self.log_scale_floor)

    def forward(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """Map data to noise: O(K) for each scalar."""
        mixture = self.split(params)
        if self.base == "logistic":
            return _logit_cdf(x, mixture)
        side, log_tail, log_hazard = _smaller_tail(x, mixture)
        z = normal_quantile(log_tail)
        return side * z, log_hazard + log_mills_ratio(z, log_tail)

    def inverse(self, z: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """Map noise to data, at about ten times the cost of `forward`."""
        x = _Inverse.apply(z, params, self)
        _, log_slope = self(x, params)
        return x, -log_slope

    def solve(self, z: Tensor, params: Tensor) -> Tensor:
        """Return x of `inverse` without recording gradients."""
        with torch.no_grad():
            logit = z
            if self.base == "normal":
                logit = torch.special.log_ndtr(z) - torch.special.log_ndtr(-z)
            return _mixture_quantile(logit, self.split(params))

    def initial_params(self, x: Tensor) -> Tensor:
        """Fit a mixture to the marginal of each column of (N, D); see `fit_mixture`."""
        return fit_mixture(x, self.num_components, self.log_scale_floor)


def _smaller_tail(x: Tensor, mixture: Mixture) -> tuple[Tensor, Tensor, Tensor]:
    """Return the smaller tail's side, log-probability and log-hazard, each of x's shape.

    The side is 1 for the lower tail, F(x), and -1 for the upper tail, 1 - F(x). The log-hazard is
    the log-density less the tail's log-probability.
    """
    u = (x[:, None] - mixture.locations) * torch.exp(-mixture.log_scales)
    with torch.no_grad():
        below = (mixture.log_weights.exp() * torch.sigmoid(u)).sum(1)
        side = 1.0 - 2.0 * (below > 0.5).to(x.dtype)
    # The logistic is symmetric: the upper tail at u is the lower tail at -u.
    u = side[:, None] * u
    log_cdfs = F.logsigmoid(u)
    weighted = mixture.log_weights + log_cdfs
    log_tail = torch.logsumexp(weighted, 1)
    # f_k = F_k (1 - F_k) / s_k. The hazard f / F is the mean of (1 - F_k) / s_k, weighted by each
    # component's share of the tail. The mean has no cancellation; log f - log F has, in the tail.
    share = weighted - log_tail[:, None]
    log_hazard = torch.logsumexp(share + (log_cdfs - u) - mixture.log_scales, 1)
    return side, log_tail, log_hazard


def _logit_cdf(x: Tensor, mixture: Mixture) -> tuple[Tensor, Tensor]:
    """Return log F - log(1 - F) and the log of its slope, f / (F (1 - F)); both of x's shape."""
    side, log_tail, log_hazard = _smaller_tail(x, mixture)
    log_rest = torch.log1p(-log_tail.exp())
    return side * (log_tail - log_rest), log_hazard - log_rest


def _mixture_quantile(logit: Tensor, mixture: Mixture) -> Tensor:
    """Solve logit F(x) = logit by Newton's method; bisect if a step leaves the bracket or stalls.

    The logit of one logistic's CDF is a straight line. The logit of a mixture's CDF has straight
    tails. Newton's method is exact on straight lines. F lies between the CDFs of its components, so
    the root lies between the quantiles of the components, which have a closed form.
    """
    quantiles = mixture.locations + mixture.log_scales.exp() * logit[:, None]
    low, high = quantiles.amin(1), quantiles.amax(1)
    x = (mixture.log_weights.exp() * quantiles).sum(1).clamp(low, high)
    last_step = high - low
    epsilon = torch.finfo(x.dtype).eps
    # After a step d, Newton's error is about d² over the smallest scale: as small as rounding if d
    # is at most `small`.
    small = math.sqrt(epsilon) * mixture.log_scales.amin(1).exp()
    active = torch.ones_like(x, dtype=torch.bool)
    for _ in range(MAX_ITERATIONS):
        value, log_slope = _logit_cdf(x, mixture)
        residual = value - logit
        low = torch.where(residual <= 0, x, low)
        high = torch.where(residual >= 0, x, high)
        newton = -residual * torch.exp(-log_slope)
        converges = newton.abs() <= torch.maximum(small, 0.5 * last_step.abs())
        accepted = converges & (x + newton >= low) & (x + newton <= high)
        step = torch.where(accepted, newton, 0.5 * (low + high) - x)
        x, last_step = torch.where(active, x + step, x), step
        done = (accepted & (step.abs() <= small)) | (step.abs() <= epsilon * x.abs())
        active = active & ~done & ~step.isnan()
        if not active.any():
            break
    return x


class _Inverse(torch.autograd.Function):
    r"""Invert a mixture CDF; gradients by the implicit function theorem.

    .. math:: z = \tau(x; \theta) \;\Rightarrow\; \frac{\partial x}{\partial z} = \frac{1}{\tau'},
              \qquad \frac{\partial x}{\partial \theta} = -\frac{1}{\tau'}
              \frac{\partial \tau}{\partial \theta}
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, params: Tensor, transformer: MixtureCdf) -> Tensor:
        x = transformer.solve(z, params)
        ctx.save_for_backward(x, params)
        ctx.transformer = transformer
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, params = ctx.saved_tensors
        with torch.enable_grad():
            params = params.detach().requires_grad_()
            z, log_slope = ctx.transformer(x, params)
        # Between components far apart the CDF is flat to rounding, and the slope of its inverse
        # overflows. The slope is limited to the square root of the largest float.
        largest = 0.5 * math.log(torch.finfo(x.dtype).max)
        grad_z = grad * torch.exp((-log_slope.detach()).clamp(max=largest))
        (grad_params,) = torch.autograd.grad(z, params, -grad_z)
        return grad_z, grad_params, None
