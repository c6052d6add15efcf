"""Transformers: scalar bijections whose parameters a conditioner computes.

A transformer acts on each scalar of its input by itself. `Triangular` is the exception: it maps a
whole frame. The parameters have one axis more than the
input, at position 1: an input of shape (B, ...) has parameters of shape (B, P, ...).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LOG_SCALE_FLOOR = -7.0
"""Smallest log-scale of a sample in [-1, 1], in nats: exp(-7) is thirty steps of 16-bit audio.

Without a floor, digital silence would have infinite density (ClariNet, Ping et al., 2019, sec.
3.1).
"""

AT_FLOOR = 0.05
"""A log-scale counts as at its floor if it is at most this far above the floor, in nats."""

LOG_SCALE_LIMIT = 3.0
"""Largest |log-scale| of one coupling, in nats: a factor of 20. In a stack the factors multiply."""


def share_at_floor(log_scales: Tensor, floor: float) -> float:
    """Return the share of log-scales in nats, any shape, that are at their floor or below it."""
    return float((log_scales <= floor + AT_FLOOR).double().mean())


def bound_log_scale(raw: Tensor, floor: float) -> Tensor:
    r"""Bound a log-scale smoothly from below, so that its gradient is never zero.

    .. math:: s = f + \log(1 + e^{r - f})

    Only this function applies the floor of a log-scale: likelihood, KL and sampling read the
    bounded value.

    Args:
        raw: unbounded log-scale, any shape.
        floor: lower bound in nats.
    Returns:
        the bounded log-scale, within 0.01 nats of `raw` once raw > floor + 4.6.
    """
    return floor + F.softplus(raw - floor)


def limit_log_scale(raw: Tensor, limit: float) -> Tensor:
    r"""Bound a log-scale smoothly on both sides.

    .. math:: s = l \tanh(r / l)

    Stacked couplings multiply their scales. Without an upper bound, an input far from the data
    would overflow.

    Args:
        raw: unbounded log-scale, any shape.
        limit: largest absolute value in nats.
    Returns:
        the bounded log-scale, equal to `raw` to first order at 0.
    References:
        RealNVP (Dinh et al., 2017): tanh and a learned scale. arXiv:1605.08803
    """
    return limit * torch.tanh(raw / limit)


def unbound_log_scale(bounded: float, floor: float) -> float:
    """Invert `bound_log_scale` for a number, to initialise a bias.

    >>> round(unbound_log_scale(float(bound_log_scale(torch.tensor(-6.5), -7.0)), -7.0), 4)
    -6.5
    """
    return floor + math.log(math.expm1(bounded - floor))


def unbound_log_scales(bounded: Tensor, floor: float) -> Tensor:
    """Invert `bound_log_scale` for log-scales measured on data.

    A log-scale at or below the floor, such as -inf for constant data, is raised to 0.1 nats above
    the floor, where its gradient is not small.
    """
    return floor + torch.log(torch.expm1((bounded - floor).clamp(min=0.1)))


class Transformer(nn.Module):
    """An elementwise bijection with `num_params` parameters for each scalar."""

    num_params: int

    def forward(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """Map data to noise.

        Args:
            x: data, shape (B, ...).
            params: parameters, shape (B, P, ...).
        Returns:
            z and the elementwise log|dz/dx| in nats, both of x's shape.
        """
        raise NotImplementedError

    def inverse(self, z: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """Map noise to data; returns x and the elementwise log|dx/dz|."""
        raise NotImplementedError

    def initial_params(self, x: Tensor) -> Tensor:
        """Return parameters to start training from, which map the columns of data near the base.

        The default is zeros; subclasses fit the data.

        Args:
            x: rows of data, shape (N, D), N >= 2.
        Returns:
            parameters, shape (P, D).
        """
        return x.new_zeros(self.num_params, x.shape[1])


class Additive(Transformer):
    r"""Shift without scaling, which preserves volume.

    .. math:: z = x - \mu

    References:
        NICE (Dinh et al., 2015), sec. 3. arXiv:1410.8516
    """

    num_params = 1

    def forward(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """Subtract the shift; the log-derivative is exactly zero."""
        return x - params[:, 0], torch.zeros_like(x)

    def inverse(self, z: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """Add the shift back."""
        return z + params[:, 0], torch.zeros_like(z)


class Affine(Transformer):
    r"""Standardise by a location and a bounded log-scale: one Gaussian per scalar.

    .. math:: z = (x - \mu)\, e^{-s}, \qquad \log|dz/dx| = -s

    Args:
        log_scale_floor: lower bound of s in nats.
    References:
        MAF (Papamakarios et al., 2017), eq. 3-4. arXiv:1705.07057
    """

    num_params = 2

    def __init__(self, log_scale_floor: float = LOG_SCALE_FLOOR) -> None:
        super().__init__()
        self.log_scale_floor = log_scale_floor

    def split(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Split parameters (B, 2, ...) into shift and bounded log-scale, (B, ...) each."""
        shift, raw = params.unbind(1)
        return shift, bound_log_scale(raw, self.log_scale_floor)

    def forward(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """Standardise: subtract the shift, divide by the scale."""
        shift, log_scale = self.split(params)
        return (x - shift) * torch.exp(-log_scale), -log_scale

    def inverse(self, z: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """Multiply by the scale, add the shift."""
        shift, log_scale = self.split(params)
        return z * torch.exp(log_scale) + shift, log_scale

    def initial_params(self, x: Tensor) -> Tensor:
        """Return the parameters (2, D) that standardise the columns of (N, D)."""
        return torch.stack([x.mean(0), self.unbound(torch.log(x.std(0)))])

    def unbound(self, log_scale: Tensor) -> Tensor:
        """Return the raw value that `split` maps to `log_scale`, or nearest to it."""
        return unbound_log_scales(log_scale, self.log_scale_floor)


class ScaleShift(Affine):
    r"""`Affine` with the shift after the scale: the shift is in units of the noise.

    .. math:: z = x\, e^{-s} + b, \qquad \log|dz/dx| = -s

    With b = -mu e^{-s} the map equals `Affine`'s. The gradient of b does not grow with e^{-s}, so
    stacked layers learn faster (docs/decisions/flows/0008-shift-after-scale.md).

    Args:
        log_scale_floor: lower bound of s in nats.
    """

    def forward(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """Divide by the scale, add the shift."""
        shift, log_scale = self.split(params)
        return x * torch.exp(-log_scale) + shift, -log_scale

    def inverse(self, z: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """Subtract the shift, multiply by the scale."""
        shift, log_scale = self.split(params)
        return (z - shift) * torch.exp(log_scale), log_scale

    def initial_params(self, x: Tensor) -> Tensor:
        """Return the parameters (2, D) that standardise the columns of (N, D)."""
        raw = self.unbound(torch.log(x.std(0)))
        _, log_scale = self.split(torch.stack([raw, raw])[None])
        return torch.stack([-x.mean(0) * torch.exp(-log_scale[0]), raw])


class BoundedAffine(Affine):
    r"""`Affine` with a log-scale bounded on both sides: the transformer of RealNVP.

    .. math:: z = (x - \mu)\, e^{-s}, \qquad |s| < l

    Args:
        log_scale_limit: bound l of |s| in nats.
    References:
        RealNVP (Dinh et al., 2017), sec. 3.2. arXiv:1605.08803
    """

    def __init__(self, log_scale_limit: float = LOG_SCALE_LIMIT) -> None:
        if not 0.0 < log_scale_limit < math.inf:
            raise ValueError(f"log_scale_limit is {log_scale_limit}, expected a positive number")
        super().__init__(log_scale_floor=-log_scale_limit)
        self.log_scale_limit = log_scale_limit

    def split(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Split parameters (B, 2, ...) into shift and bounded log-scale, (B, ...) each."""
        shift, raw = params.unbind(1)
        return shift, limit_log_scale(raw, self.log_scale_limit)

    def unbound(self, log_scale: Tensor) -> Tensor:
        """Return the raw value that `split` maps to `log_scale`, clamped to 0.99 of the limit."""
        bounded = log_scale / self.log_scale_limit
        return self.log_scale_limit * torch.atanh(bounded.clamp(-0.99, 0.99))


class BoundedScaleShift(BoundedAffine, ScaleShift):
    r"""`ScaleShift` with a log-scale bounded on both sides: the transformer of stacks of MAFs.

    .. math:: z = x\, e^{-s} + b, \qquad |s| < l

    Args:
        log_scale_limit: bound l of |s| in nats.
    """


class Swapped(Transformer):
    r"""Exchange a transformer's two directions.

    An IAF computes each step as :math:`x = z\,e^{s} + \mu`, with parameters from earlier *noise*.
    In an `Autoregressive` transform the noise then takes the place of a MAF's data, so the
    transformer must map noise to data.

    Args:
        transformer: the bijection to swap.
    References:
        IAF (Kingma et al., 2016), eq. 10. arXiv:1606.04934
    """

    def __init__(self, transformer: Transformer) -> None:
        super().__init__()
        self.transformer = transformer
        self.num_params = transformer.num_params

    def forward(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the wrapped transformer's inverse."""
        return self.transformer.inverse(x, params)

    def inverse(self, z: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the wrapped transformer's forward."""
        value, log_det = self.transformer(z, params)
        return value, log_det
