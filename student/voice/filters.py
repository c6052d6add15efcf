"""Minimum-phase filters, given by their cepstra, which are computed from hidden frames."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flows import as_matrix, cepstra_of

FINE = 10
"""Index of the first cepstral coefficient of fine structure. Lower coefficients are the tilt and
the broad shape of a spectrum."""
LOUDER = 0.75
"""Gain of a voice in nats of amplitude per unit of sharpness (measured); see `sharpened`."""


class SourceFilters(NamedTuple):
    r"""Filters at N places: a log-gain, then the scaled cepstral coefficients :math:`k\,c_k`."""

    voice: Tensor
    """Filters of the pulses, shape (B, N, K + 1)."""
    breath: Tensor
    """Filters of the noise beside a voice, shape (B, N, J + 1)."""
    noise: Tensor
    """Filters of the noise without a voice, shape (B, N, J + 1)."""


class FilterHead(nn.Conv1d):
    """Compute the parameters of filters by a layer that is linear in hidden channels and features.

    Args:
        width: hidden channels; they are the first input channels.
        num_features: channels of the features.
        order: taps of each filter beside the first, K.
        filters_per_frame: S.
    """

    def __init__(self, width: int, num_features: int, order: int, filters_per_frame: int) -> None:
        super().__init__(width + num_features, (order + 1) * filters_per_frame, 1)
        self.width, self.order, self.filters_per_frame = width, order, filters_per_frame
        nn.init.zeros_(self.weight)
        assert self.bias is not None
        nn.init.zeros_(self.bias)

    @property
    def log_gains(self) -> Tensor:
        """Bias of each filter's log-gain in nats, shape (S,), as a view of the layer's bias."""
        assert self.bias is not None
        return self.bias.view(self.filters_per_frame, -1)[:, 0]

    def forward(self, read: Tensor) -> Tensor:
        """Map rows (B, L, width + num_features) to parameters (B, L * S, K + 1)."""
        found = F.linear(read, *as_matrix(self))
        return found.unflatten(2, (self.filters_per_frame, -1)).flatten(1, 2)

    def set_linear(self, slope: Tensor, constant: Tensor, per_frame: int) -> None:
        """Set weights and bias: parameters = slope @ features + constant.

        The features are interpolated linearly between the two frames nearest to each filter.

        Args:
            slope: weights of the first M features of a frame, shape (K + 1, M).
            constant: bias of the parameters, shape (K + 1,).
            per_frame: number of features in a frame.
        """
        steps, bands = self.filters_per_frame, slope.shape[1]
        weight = self.weight[:, self.width :, 0].view(steps, self.order + 1, -1, per_frame)
        frames = weight.shape[2]
        for step in range(steps):
            # The conditioning of a frame is centred on the frame's middle.
            place = (frames - 1) // 2 + (step + 1) / steps - 0.5
            for frame in range(frames):
                share = max(0.0, 1 - abs(min(max(place, 0), frames - 1) - frame))
                weight[step, :, frame, :bands] = (share * slope).to(weight)
        assert self.bias is not None
        self.bias.copy_(constant.repeat(steps))


def sharpened(raw: Tensor, sharpness: float) -> Tensor:
    """Deepen the fine structure of filters' log-spectra, and keep their mean level.

    Args:
        raw: a log-gain and scaled cepstral coefficients of each filter, shape (..., K + 1).
        sharpness: the fine structure is multiplied by 1 + sharpness.
    Returns:
        parameters of the sharpened filters, shape (..., K + 1).
    References:
        The postfilter of Yoshimura et al. (2005) for spectra from a statistical model.
    """
    gain, broad, fine = raw[..., :1], raw[..., 1:FINE], raw[..., FINE:]
    return torch.cat([gain - LOUDER * sharpness, broad, fine * (1 + sharpness)], -1)


def log_power_spectra(raw: Tensor, points: int) -> Tensor:
    r"""Return the log-power response :math:`2 \log|H|` of filters, in nats.

    Args:
        raw: a log-gain and :math:`k\,c_k` of each filter, shape (..., K + 1), K < points / 2.
        points: points of the Fourier transform.
    Returns:
        log-power at each frequency of the transform, shape (..., points / 2 + 1).
    """
    sequence = torch.cat([raw[..., :1], cepstra_of(raw)], -1)
    spectrum: Tensor = 2 * torch.fft.rfft(sequence, n=points).real
    return spectrum


def cepstra_of_bands(order: int, band_hz: Tensor, sample_rate: int) -> Tensor:
    """Return the matrix from a log-spectrum at M band centres to log-gain and k c_k: (K + 1, M)."""
    bands, points = band_hz.shape[0], 8 * order
    hz = (torch.arange(points).double() + 0.5) / points * sample_rate / 2
    place = torch.searchsorted(band_hz, hz).clamp(1, bands - 1)
    low, high = band_hz[place - 1], band_hz[place]
    rise = ((hz - low) / (high - low)).clamp(0, 1)
    between = torch.zeros(points, bands, dtype=hz.dtype)
    between[torch.arange(points), place - 1] = 1 - rise
    between[torch.arange(points), place] += rise
    index = torch.arange(order + 1).double()
    cosines = torch.cos(torch.outer(index, torch.pi * 2 * hz / sample_rate)) / points
    # The integral for c_k has a factor of 2, the integral for the log-gain has none.
    cosines = cosines * torch.where(index == 0, 1.0, 2 * index)[:, None]
    return cosines @ between
