"""Layers that compute minimum-phase filters, as cepstra, from hidden frames."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flows import as_matrix

FINE = 10
"""Index of the first cepstral coefficient of fine structure. Lower coefficients are the tilt and
the broad shape of a spectrum."""
LOUDER = 0.75
"""Nats of amplitude by which a unit of sharpness makes a voice louder (measured). `sharpened`
lowers the gain of the filters by this amount."""


class SourceFilters(NamedTuple):
    r"""Filters at N places: a log-gain, then the scaled cepstral coefficients :math:`k\,c_k`."""

    voice: Tensor
    """Filters of the pulses, shape (B, N, K + 1)."""
    breath: Tensor
    """Filters of the noise where there is a voice, shape (B, N, J + 1)."""
    noise: Tensor
    """Filters of the noise where there is no voice, shape (B, N, J + 1)."""


class FilterHead(nn.Conv1d):
    """A linear layer from hidden channels and features to the parameters of filters.

    Args:
        width: hidden channels; they are the first input channels.
        num_features: channels of the features.
        order: number of taps of each filter, without the first tap, K.
        filters_per_frame: filters in each frame, S.
    """

    def __init__(self, width: int, num_features: int, order: int, filters_per_frame: int) -> None:
        super().__init__(width + num_features, (order + 1) * filters_per_frame, 1)
        self.width, self.order, self.filters_per_frame = width, order, filters_per_frame
        nn.init.zeros_(self.weight)
        assert self.bias is not None
        nn.init.zeros_(self.bias)

    @property
    def log_gains(self) -> Tensor:
        """Biases of the S filters' log-gains, nats, shape (S,): a view of the layer's bias."""
        assert self.bias is not None
        return self.bias.view(self.filters_per_frame, -1)[:, 0]

    def forward(self, read: Tensor) -> Tensor:
        """Compute the parameters of S filters a frame.

        Args:
            read: hidden channels, then features, shape (B, L, width + num_features).
        Returns:
            a log-gain and k c_k of each filter, shape (B, L * S, K + 1).
        """
        found = F.linear(read, *as_matrix(self))
        return found.unflatten(2, (self.filters_per_frame, -1)).flatten(1, 2)

    def set_linear(self, slope: Tensor, constant: Tensor, per_frame: int) -> None:
        """Set weights and bias so that each filter's parameters are slope @ features + constant.

        The features are those at the place of the filter, interpolated linearly between the two
        nearest frames.

        Args:
            slope: weights of the first M features of a frame, shape (K + 1, M).
            constant: bias of the parameters, shape (K + 1,).
            per_frame: number of features of a frame, of which the first M count.
        """
        steps, bands = self.filters_per_frame, slope.shape[1]
        weight = self.weight[:, self.width :, 0].view(steps, self.order + 1, -1, per_frame)
        frames = weight.shape[2]
        for step in range(steps):
            # The conditioning of a frame is measured at the middle of the frame.
            place = (frames - 1) // 2 + (step + 1) / steps - 0.5
            for frame in range(frames):
                share = max(0.0, 1 - abs(min(max(place, 0), frames - 1) - frame))
                weight[step, :, frame, :bands] = (share * slope).to(weight)
        assert self.bias is not None
        self.bias.copy_(constant.repeat(steps))


def sharpened(raw: Tensor, sharpness: float) -> Tensor:
    """Deepen the fine structure of filters' log-spectra.

    The log-gain is lowered by `LOUDER` times the sharpness, so that the voice stays about as loud.

    Args:
        raw: a log-gain and k c_k of each filter, shape (..., K + 1).
        sharpness: the fine structure, in the log-spectrum, is multiplied by 1 + sharpness.
    Returns:
        parameters of the sharpened filters, shape (..., K + 1).
    References:
        The postfilter of Yoshimura et al. (2005) for spectra from a statistical model.
    """
    gain, broad, fine = raw[..., :1], raw[..., 1:FINE], raw[..., FINE:]
    return torch.cat([gain - LOUDER * sharpness, broad, fine * (1 + sharpness)], -1)
