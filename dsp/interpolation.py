"""Interpolation of samples (linear, windowed sinc), of points, and between the ends of frames."""

import torch
from torch import Tensor

SINC_TAPS = 8
"""Number of samples from which `sinc_at` interpolates a value."""


def linear_at(values: Tensor, places: Tensor) -> Tensor:
    """Interpolate values linearly at fractional indices.

    Args:
        values: samples, shape (..., S), S > 1.
        places: indices from 0 to S - 1, shape (..., N), of a floating type. A place outside this
            range is extrapolated from the two nearest samples.
    Returns:
        interpolated values, shape (..., N).

    >>> linear_at(torch.tensor([0.0, 10.0, 30.0]), torch.tensor([0.5, 1.5]))
    tensor([ 5., 20.])
    """
    before = places.floor().clamp(0, values.shape[-1] - 2)
    index = before.long()
    return torch.lerp(values.gather(-1, index), values.gather(-1, index + 1), places - before)


def weights_between(points: Tensor, places: Tensor) -> Tensor:
    """Return the matrix that interpolates values linearly between points of any spacing.

    Args:
        points: where the values are, ascending, shape (M,).
        places: where values are wanted, shape (N,). Beyond the outermost points, values are
            constant.
    Returns:
        weights of the values at each place, shape (N, M).

    >>> weights_between(torch.tensor([0.0, 4.0]), torch.tensor([-1.0, 1.0]))
    tensor([[1.0000, 0.0000],
            [0.7500, 0.2500]])
    """
    count = points.shape[0]
    if count == 1:
        return places.new_ones(places.shape[0], 1)
    right = torch.searchsorted(points, places).clamp(1, count - 1)
    low, high = points[right - 1], points[right]
    rise = ((places - low) / (high - low)).clamp(0, 1)
    weights = places.new_zeros(places.shape[0], count)
    row = torch.arange(places.shape[0])
    weights[row, right - 1] = 1 - rise
    weights[row, right] = rise
    return weights


def sinc_at(signal: Tensor, places: Tensor) -> Tensor:
    """Interpolate band-limited signals at fractional indices by a windowed sinc.

    Args:
        signal: shape (B, S).
        places: indices, shape (B, N), at least `SINC_TAPS` / 2 samples away from both ends.
    Returns:
        interpolated values, shape (B, N).
    """
    before = places.floor()
    taps = torch.arange(1 - SINC_TAPS // 2, SINC_TAPS // 2 + 1, device=signal.device)
    distance = (places - before)[..., None] - taps
    weights = torch.sinc(distance) * torch.cos(torch.pi * distance / (SINC_TAPS + 2)).square()
    near = (before.long()[..., None] + taps).flatten(1)
    return (signal.gather(1, near).unflatten(1, (-1, SINC_TAPS)) * weights).sum(-1)


def between_ends(ends: Tensor, hop_length: int, before: Tensor | None = None) -> Tensor:
    """Interpolate linearly between the values at the ends of frames.

    Args:
        ends: values at the ends of frames, shape (B, L).
        hop_length: samples per frame.
        before: value at the start of the first frame, shape (B, 1); default: the value at the end
            of the first frame.
    Returns:
        values at each sample, shape (B, L, hop_length).
    """
    starts = torch.cat([ends[:, :1] if before is None else before, ends[:, :-1]], 1)
    rise = torch.arange(1, hop_length + 1, dtype=ends.dtype, device=ends.device) / hop_length
    return torch.lerp(starts[..., None], ends[..., None], rise)
