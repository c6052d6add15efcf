"""An affine map of a frame whose matrix is triangular: a Gaussian with a full covariance."""

import torch
import torch.nn.functional as F
from torch import Tensor

from flows.transforms.transformers import LOG_SCALE_FLOOR, Affine


class Triangular(Affine):
    r"""Standardise the samples of a frame, each one given the earlier samples of the frame.

    .. math:: d_i = x_i - \mu_i, \qquad
              z_i = \Big(d_i - \sum_{j<i} a_{ij}\, d_j\Big)\, e^{-s_i}, \qquad
              \log|\det J| = -\sum_i s_i

    A frame of C samples is Gaussian with the covariance (I - A)^{-1} e^{2S} (I - A)^{-T}. A network
    may know that a glottal pulse is due, but not at which sample. With a diagonal covariance, it
    then draws noise in place of the pulse. With a full covariance, it draws a pulse at an uncertain
    time. Given the earlier samples of its frame, each sample is Gaussian; see `given_frame`.

    For an input (B, C, ...), the parameters have the shape (B, 2 + C - 1, C, ...): locations, raw
    log-scales, then C - 1 rows of coefficients. Row j holds a_ij for all i. Coefficients with
    j >= i are not read.

    Args:
        num_channels: samples in a frame, C.
        log_scale_floor: lower bound of s in nats.
    References:
        Pourahmadi (1999): a covariance by regressions on earlier variables, a modified Cholesky
        decomposition. doi:10.1093/biomet/86.3.677
    """

    is_earlier: Tensor

    def __init__(self, num_channels: int, log_scale_floor: float = LOG_SCALE_FLOOR) -> None:
        super().__init__(log_scale_floor)
        self.num_params = 1 + num_channels
        index = torch.arange(num_channels)
        is_earlier = (index[:-1, None] < index).float()
        self.register_buffer("is_earlier", is_earlier, persistent=False)

    def split(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Split off locations and bounded log-scales, shape (B, C, ...) each."""
        return super().split(params[:, :2])

    def given_frame(self, x: Tensor, params: Tensor) -> Tensor:
        """Return the parameters of each sample's Gaussian, given the earlier samples of its frame.

        Args:
            x: frames, shape (B, C, ...).
            params: parameters, shape (B, 1 + C, C, ...).
        Returns:
            locations and raw log-scales, as `Affine` takes them, shape (B, 2, C, ...).
        """
        location = params[:, 0]
        return torch.stack([location + self._regression(x - location, params), params[:, 1]], 1)

    def forward(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """Subtract location and regression, then divide by the scale."""
        return super().forward(x, self.given_frame(x, params))

    def inverse(self, z: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """Multiply by the scale, then add regression and location, one sample after the other."""
        location, log_scale = self.split(params)
        deviations: list[Tensor] = []
        for i, deviation in enumerate((z * torch.exp(log_scale)).unbind(1)):
            for j, earlier in enumerate(deviations):
                deviation = deviation + params[:, 2 + j, i] * earlier
            deviations.append(deviation)
        return torch.stack(deviations, 1) + location, log_scale

    def initial_params(self, x: Tensor) -> Tensor:
        """Return the parameters, shape (1 + C, C), that standardise the columns of x (N, C)."""
        return F.pad(super().initial_params(x), (0, 0, 0, self.num_params - 2))

    def _regression(self, deviation: Tensor, params: Tensor) -> Tensor:
        """Predict the deviation of each sample from its frame's earlier deviations, (B, C, ...)."""
        mask = self.is_earlier.to(params).view(self.is_earlier.shape + (1,) * (params.dim() - 3))
        return (params[:, 2:] * mask * deviation[:, :-1, None]).sum(1)
