"""ActNorm: a learned scale, and perhaps a shift, for each feature."""

import torch
from torch import Tensor, nn

from flows.transforms.base import Transform, check_features
from flows.transforms.transformers import LOG_SCALE_FLOOR


class DiagonalScale(Transform):
    r"""ActNorm: shift and scale every feature by learned constants.

    .. math:: z_i = e^{s_i}\, (x_i - \mu_i), \qquad \log|\det J| = T \sum_i s_i

    Features are axis 1 of a vector (B, D), where T = 1, or of a signal (B, C, T). The context is
    ignored.

    Args:
        num_features: D or C.
        shift: whether to learn mu; otherwise mu is 0.
    References:
        NICE (Dinh et al., 2015), sec. 3.3: a scale after the last coupling, the only layer of NICE
        that changes volume. arXiv:1410.8516
        Glow (Kingma & Dhariwal, 2018), sec. 3.1: actnorm, a scale and shift between layers,
        initialised from data. arXiv:1807.03039
    """

    def __init__(self, num_features: int, shift: bool = False) -> None:
        super().__init__()
        if num_features < 1:
            raise ValueError(f"num_features is {num_features}, expected at least 1")
        self.num_features = num_features
        self.log_scale = nn.Parameter(torch.zeros(num_features, 1))
        self.shift = nn.Parameter(torch.zeros(num_features, 1)) if shift else None

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Subtract the shift and multiply by the scale."""
        check_features(x, self.num_features)
        columns = self._columns(x)
        centred = columns if self.shift is None else columns - self.shift
        z = (centred * self.log_scale.exp()).view_as(x)
        return z, self._log_det(columns)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Divide by the scale and add the shift."""
        check_features(z, self.num_features, "z")
        columns = self._columns(z)
        x = columns * (-self.log_scale).exp()
        x = x if self.shift is None else x + self.shift
        return x.view_as(z), -self._log_det(columns)

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set the parameters that maximise the likelihood of x under a standard normal.

        Args:
            x: a batch of the layer's input, shape (B, D) or (B, C, T). A feature's log standard
                deviation is at least `LOG_SCALE_FLOOR`, also if the feature is constant.
        """
        check_features(x, self.num_features)
        columns = self._columns(x)
        if self.shift is not None:
            self.shift.copy_(columns.mean((0, 2))[:, None])
            columns = columns - self.shift
        log_std = 0.5 * columns.square().mean((0, 2)).log()
        self.log_scale.copy_(-log_std.clamp(min=LOG_SCALE_FLOOR)[:, None])

    def _columns(self, x: Tensor) -> Tensor:
        return x if x.dim() == 3 else x[..., None]

    def _log_det(self, columns: Tensor) -> Tensor:
        return (columns.shape[2] * self.log_scale.sum()).expand(columns.shape[0])
