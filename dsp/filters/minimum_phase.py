"""The taps of minimum-phase filters from their cepstra: a compiled, differentiable recursion."""

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

COLUMNS = 64
"""Number of filters that are computed together, in neighbouring numbers of a few vectors."""
AT_ONCE = 4
"""Number of terms that are added to a sum at once; the loops below write them out."""

_SUMS = {"contract", "reassoc"}  # LLVM may fuse a product with a sum, and may reorder sums


def minimum_phase_taps(cepstrum: Tensor) -> Tensor:
    r"""Compute the taps of minimum-phase filters from their cepstra.

    .. math:: n\,h_n = \sum_{k=1}^{n} k\, c_k\, h_{n-k}, \quad h_0 = 1, \qquad
              \frac{\partial h_n}{\partial c_k} = h_{n-k}

    A compiled loop runs on the CPU; tensors on other devices are copied there and back. The result
    is differentiable once.

    Args:
        cepstrum: c_1 .. c_K, shape (..., K).
    Returns:
        h_1 .. h_K, shape (..., K).
    References:
        Discrete-time signal processing (Oppenheim & Schafer), complex cepstrum of minimum-phase
        sequences.
    """
    taps: Tensor = _MinimumPhase.apply(cepstrum)
    return taps


class _MinimumPhase(torch.autograd.Function):
    """`minimum_phase_taps`."""

    @staticmethod
    def forward(ctx: Any, cepstrum: Tensor) -> Tensor:
        columns = _columns(cepstrum)
        taps = np.empty_like(columns)
        _taps(columns, taps)
        found = _of_columns(taps, cepstrum)
        ctx.save_for_backward(found)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (taps,) = ctx.saved_tensors
        slopes = _columns(grad)
        found = np.empty_like(slopes)
        _slopes(_columns(taps), slopes, found)
        return _of_columns(found, grad)


def _columns(filters: Tensor) -> np.ndarray:
    """Return filters (..., K) as the columns of a contiguous array (K, N)."""
    return np.ascontiguousarray(filters.detach().reshape(-1, filters.shape[-1]).cpu().numpy().T)


def _of_columns(columns: np.ndarray, like: Tensor) -> Tensor:
    """Return the columns of an array (K, N) as filters of the shape of `like`, (..., K)."""
    return torch.from_numpy(np.ascontiguousarray(columns.T)).view(like.shape).to(like)


@numba.njit(cache=True, nogil=True, fastmath=_SUMS, error_model="numpy")
def _taps(cepstra: np.ndarray, taps: np.ndarray) -> None:  # pragma: no cover
    """Compute the taps (K, N) of cepstra (K, N)."""
    order, filters = cepstra.shape
    total = np.zeros(COLUMNS, cepstra.dtype)
    c = np.zeros((order + AT_ONCE, COLUMNS), cepstra.dtype)  # row k - 1 holds k c_k
    # Row n + AT_ONCE - 1 holds h_n, so that the rows of h_n with n < 0 exist, and are 0.
    h = np.zeros((order + AT_ONCE, COLUMNS), cepstra.dtype)
    h[AT_ONCE - 1] = 1.0
    for first in range(0, filters, COLUMNS):
        width = min(COLUMNS, filters - first)
        for k in range(order):
            for j in range(width):
                c[k, j] = (k + 1) * cepstra[k, first + j]
        for n in range(1, order + 1):
            total[:] = 0.0
            for k in range(0, n, AT_ONCE):
                m = n + AT_ONCE - 2 - k
                c0, c1, c2, c3 = c[k], c[k + 1], c[k + 2], c[k + 3]
                h0, h1, h2, h3 = h[m], h[m - 1], h[m - 2], h[m - 3]
                for j in range(COLUMNS):
                    total[j] += (c0[j] * h0[j] + c1[j] * h1[j]) + (c2[j] * h2[j] + c3[j] * h3[j])
            for j in range(COLUMNS):
                h[n + AT_ONCE - 1, j] = total[j] / n
        for n in range(order):
            for j in range(width):
                taps[n, first + j] = h[n + AT_ONCE, j]


@numba.njit(cache=True, nogil=True, fastmath=_SUMS, error_model="numpy")
def _slopes(taps: np.ndarray, grad: np.ndarray, out: np.ndarray) -> None:  # pragma: no cover
    """Compute the gradient (K, N) of the cepstra: sum_n grad_n h_{n-k} over n from k to K."""
    order, filters = taps.shape
    total = np.zeros(COLUMNS, taps.dtype)
    g = np.zeros((order + AT_ONCE, COLUMNS), taps.dtype)  # row n - 1 holds grad_n
    h = np.zeros((order + AT_ONCE, COLUMNS), taps.dtype)  # row n holds h_n
    h[0] = 1.0
    for first in range(0, filters, COLUMNS):
        width = min(COLUMNS, filters - first)
        for n in range(order):
            for j in range(width):
                g[n, j], h[n + 1, j] = grad[n, first + j], taps[n, first + j]
        for k in range(order):
            total[:] = 0.0
            for n in range(k, order, AT_ONCE):
                m = n - k
                g0, g1, g2, g3 = g[n], g[n + 1], g[n + 2], g[n + 3]
                h0, h1, h2, h3 = h[m], h[m + 1], h[m + 2], h[m + 3]
                for j in range(COLUMNS):
                    total[j] += (g0[j] * h0[j] + g1[j] * h1[j]) + (g2[j] * h2[j] + g3[j] * h3[j])
            for j in range(width):
                out[k, first + j] = total[j]
