"""All-pole filtering with coefficients that change over time: compiled and differentiable."""

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


@numba.njit(cache=True, nogil=True)
def _filter_rows(
    signal: np.ndarray, coefficients: np.ndarray, out: np.ndarray
) -> None:  # pragma: no cover
    """Write out_t = signal_t + sum_k a_k out_{t-k}; rows (N, T), coefficients (N, L, K).

    `out` has shape (N, K + T): its first K columns hold the output before the signal.
    """
    rows, samples = signal.shape
    frames, order = coefficients.shape[1:]
    span = samples // frames
    for row in range(rows):
        for t in range(samples):
            taps = coefficients[row, t // span]
            total = 0.0
            for k in range(order):
                total += taps[k] * out[row, order + t - 1 - k]
            out[row, order + t] = signal[row, t] + total


@numba.njit(cache=True, nogil=True)
def _filter_rows_backward(
    grad: np.ndarray,
    coefficients: np.ndarray,
    filtered: np.ndarray,
    grad_signal: np.ndarray,
    grad_coefficients: np.ndarray,
) -> None:  # pragma: no cover
    """Compute the gradients of `_filter_rows` by a recursion backwards in time.

    Args:
        grad: gradient of the output, shape (N, T).
        coefficients: a_1 .. a_K for each frame, shape (N, L, K).
        filtered: the output, shape (N, T).
        grad_signal: gradient of the signal, shape (N, T), overwritten. The gradient of output t,
            times a_k, is added to the gradient of output t - k.
        grad_coefficients: gradient of the coefficients, shape (N, L, K), added to what the caller
            has put there.
    """
    rows, samples = grad.shape
    frames, order = coefficients.shape[1:]
    span = samples // frames
    for row in range(rows):
        grad_signal[row] = grad[row]
        for t in range(samples - 1, -1, -1):
            frame = t // span
            value = grad_signal[row, t]
            for k in range(min(order, t)):
                grad_signal[row, t - 1 - k] += coefficients[row, frame, k] * value
                grad_coefficients[row, frame, k] += value * filtered[row, t - 1 - k]


class _RecursiveFilter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, signal: Tensor, coefficients: Tensor) -> Tensor:
        filtered = _filtered(signal, coefficients, coefficients.new_zeros(signal.shape[0], 0))
        ctx.save_for_backward(filtered, coefficients)
        return filtered.to(signal)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        filtered, coefficients = ctx.saved_tensors
        taps = _to_numpy(coefficients)
        grad_signal = np.empty_like(filtered.numpy())
        grad_coefficients = np.zeros_like(taps)
        _filter_rows_backward(
            _to_numpy(grad), taps, filtered.numpy(), grad_signal, grad_coefficients
        )
        return (
            torch.from_numpy(grad_signal).to(grad),
            torch.from_numpy(grad_coefficients).to(coefficients),
        )


def _filtered(signal: Tensor, coefficients: Tensor, before: Tensor) -> Tensor:
    """Filter rows (N, T) on the CPU; `before` holds the earlier output (N, n), newest last."""
    order = coefficients.shape[2]
    rows = _to_numpy(signal)
    out = np.zeros((rows.shape[0], order + rows.shape[1]), rows.dtype)
    recent = _to_numpy(before)[:, max(0, before.shape[1] - order) :]
    out[:, order - recent.shape[1] : order] = recent
    _filter_rows(rows, _to_numpy(coefficients), out)
    return torch.from_numpy(np.ascontiguousarray(out[:, order:]))


@torch.no_grad()
def continue_filter(signal: Tensor, coefficients: Tensor, before: Tensor) -> Tensor:
    """Filter the next piece of a signal; no gradient is recorded.

    Args:
        signal: the piece, shape (N, T).
        coefficients: the piece's coefficients, shape (N, L, K), see `recursive_filter`.
        before: the output before this piece, shape (N, n), newest sample last. Output before these
            n samples is taken as 0.
    Returns:
        y, shape (N, T). The joined pieces equal one call over the whole signal.
    """
    return _filtered(signal, coefficients, before).to(signal)


def recursive_filter(signal: Tensor, coefficients: Tensor) -> Tensor:
    r"""Filter a signal recursively, from silence.

    .. math:: y_t = x_t + \sum_{k=1}^{K} a_k(l_t)\, y_{t-k}, \qquad y_{<0} = 0

    l_t is the frame of sample t.

    A compiled loop over time runs on the CPU; tensors on other devices are copied there and back.
    Output and gradient cost O(T K) each. The filter is differentiable once.

    Args:
        signal: x, shape (N, T).
        coefficients: a_1 .. a_K for each frame, shape (N, L, K), with T a multiple of L.
    Returns:
        y, shape (N, T).
    Raises:
        ValueError: if the shapes do not fit each other.
    References:
        Differentiable all-pole filters for time-varying audio systems (Yu et al., 2024).
        arXiv:2404.07970

    >>> recursive_filter(torch.tensor([[1.0, 0, 0, 0]]), torch.tensor([[[0.5]]]))
    tensor([[1.0000, 0.5000, 0.2500, 0.1250]])
    """
    rows, samples = signal.shape
    if coefficients.dim() != 3 or coefficients.shape[0] != rows or not coefficients.shape[1]:
        raise ValueError(
            f"coefficients have shape {tuple(coefficients.shape)}, expected ({rows}, L, K)"
        )
    if samples % coefficients.shape[1]:
        raise ValueError(
            f"{samples} samples are not a whole multiple of {coefficients.shape[1]} frames"
        )
    filtered: Tensor = _RecursiveFilter.apply(signal, coefficients)
    return filtered


def _to_numpy(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().cpu().numpy())
