"""The taps of minimum-phase filters from their cepstra: a compiled, differentiable recursion."""

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

COLUMNS = 64
"""Number of filters that are computed together: a row of the arrays below holds one number each."""
BLOCK = 4
"""Number of rows whose sums are computed together, so that each row is read once for four sums."""

_SUMS = {"contract", "reassoc"}  # LLVM may fuse a product with a sum, and may reorder sums


def minimum_phase_taps(cepstrum: Tensor) -> Tensor:
    r"""Compute the taps of minimum-phase filters from their cepstra.

    .. math:: n\,h_n = \sum_{k=1}^{n} k\, c_k\, h_{n-k}, \quad h_0 = 1, \qquad
              \frac{\partial h_n}{\partial c_k} = h_{n-k}

    A compiled loop runs on the CPU; tensors on other devices are copied there and back. The result
    is differentiable once.

    Args:
        cepstrum: c_1 .. c_K, shape (..., K), K > 0, float32 or float64.
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
    rows = (order // BLOCK + 1) * BLOCK
    c = np.zeros((rows, COLUMNS), cepstra.dtype)  # row k holds k c_k
    h = np.zeros((rows, COLUMNS), cepstra.dtype)  # row n holds h_n
    sums = np.zeros((BLOCK, COLUMNS), cepstra.dtype)
    flat_c, flat_h, flat_sums = c.ravel(), h.ravel(), sums.ravel()
    for first in range(0, filters, COLUMNS):
        width = min(COLUMNS, filters - first)
        for k in range(order):
            for j in range(width):
                c[k + 1, j] = (k + 1) * cepstra[k, first + j]
        for n in range(0, rows, BLOCK):
            sums[:] = 0.0
            for m in range(0, n, BLOCK):
                _add_products(flat_c, n - m - BLOCK + 1, flat_h, m, flat_sums)
            for i in range(BLOCK):
                total = sums[i]
                for m in range(n, n + i):  # terms of the block itself
                    ck, hm = c[n + i - m], h[m]
                    for j in range(COLUMNS):
                        total[j] += ck[j] * hm[j]
                for j in range(COLUMNS):
                    h[n + i, j] = total[j] / (n + i) if n + i else 1.0
        for n in range(order):
            for j in range(width):
                taps[n, first + j] = h[n + 1, j]


@numba.njit(cache=True, nogil=True, fastmath=_SUMS, error_model="numpy")
def _slopes(taps: np.ndarray, grad: np.ndarray, out: np.ndarray) -> None:  # pragma: no cover
    """Compute the gradient (K, N) of the cepstra: sum_n grad_n h_{n-k} over n from k to K."""
    order, filters = taps.shape
    rows = (order // BLOCK + 1) * BLOCK
    g = np.zeros((rows, COLUMNS), taps.dtype)  # row n holds grad_{K-n}
    # Row n + BLOCK - 1 holds h_n, so that the rows of h_n with n < 0 exist, and are 0.
    h = np.zeros((rows + BLOCK - 1, COLUMNS), taps.dtype)
    h[BLOCK - 1] = 1.0
    sums = np.zeros((BLOCK, COLUMNS), taps.dtype)
    flat_g, flat_h, flat_sums = g.ravel(), h.ravel(), sums.ravel()
    for first in range(0, filters, COLUMNS):
        width = min(COLUMNS, filters - first)
        for n in range(order):
            for j in range(width):
                g[order - 1 - n, j], h[n + BLOCK, j] = grad[n, first + j], taps[n, first + j]
        for k in range(0, order, BLOCK):
            sums[:] = 0.0
            for m in range(0, k + 1, BLOCK):
                _add_products(flat_h, k - m, flat_g, m, flat_sums)
            for i in range(min(BLOCK, order - k)):
                for j in range(width):
                    out[order - 1 - k - i, first + j] = sums[i, j]


@numba.njit(cache=True, nogil=True, fastmath=_SUMS, error_model="numpy")
def _add_products(
    a: np.ndarray, p: int, b: np.ndarray, q: int, sums: np.ndarray
) -> None:  # pragma: no cover
    """Add a[p + 3 + i - j] * b[q + j] to sums[i]; i and j are rows from 0 to 3.

    The arrays are flat, because LLVM must see how far their rows lie apart.
    """
    a, b = a[p * COLUMNS : (p + 7) * COLUMNS], b[q * COLUMNS : (q + 4) * COLUMNS]
    for j in range(COLUMNS):
        a0, a1, a2, a3 = a[j], a[j + COLUMNS], a[j + 2 * COLUMNS], a[j + 3 * COLUMNS]
        a4, a5, a6 = a[j + 4 * COLUMNS], a[j + 5 * COLUMNS], a[j + 6 * COLUMNS]
        b0, b1, b2, b3 = b[j], b[j + COLUMNS], b[j + 2 * COLUMNS], b[j + 3 * COLUMNS]
        s0 = (a3 * b0 + a2 * b1) + (a1 * b2 + a0 * b3)
        s1 = (a4 * b0 + a3 * b1) + (a2 * b2 + a1 * b3)
        s2 = (a5 * b0 + a4 * b1) + (a3 * b2 + a2 * b3)
        s3 = (a6 * b0 + a5 * b1) + (a4 * b2 + a3 * b3)
        sums[j] += s0
        sums[j + COLUMNS] += s1
        sums[j + 2 * COLUMNS] += s2
        sums[j + 3 * COLUMNS] += s3
