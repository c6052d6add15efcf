"""Layout of matrices for compiled code: in panels of columns, a few vector registers wide."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from flows.engines.cpu.instructions.intrinsics import LANES, VECTORS


def in_panels(matrices: Tensor, in_pairs: bool = False) -> np.ndarray:
    """Lay matrices out in panels.

    Args:
        matrices: shape (N, depth, width), in float32.
        in_pairs: whether to round to bfloat16, and to join the numbers of two rows in an integer of
            32 bits.
    Returns:
        panels, shape (N, panels, depth, columns), padded with zeros to whole panels; with
        `in_pairs`, the third dimension is the number of pairs of rows.
    """
    columns = _columns(matrices.shape[2])
    if in_pairs:
        matrices = _joined(F.pad(matrices.mT, (0, matrices.shape[1] % 2))).mT
    padded = F.pad(matrices, (0, -matrices.shape[2] % columns)).unflatten(2, (-1, columns))
    return padded.transpose(1, 2).contiguous().numpy()


def rounded_to_pairs(rows: np.ndarray) -> np.ndarray:
    """Round the last dimension of an array to bfloat16, and join its numbers in pairs.

    Args:
        rows: shape (..., N), in float32.
    Returns:
        integers of 32 bits that hold two numbers each, shape (..., ceil(N / 2)).
    """
    return _joined(F.pad(torch.from_numpy(rows), (0, rows.shape[-1] % 2))).numpy()


def are_pairs(panels: np.ndarray) -> bool:
    """Return whether panels hold pairs of bfloat16 numbers."""
    return panels.dtype == np.int32


def whole_panels(rows: Tensor) -> np.ndarray:
    """Pad rows (..., N) with zeros to whole panels."""
    width = rows.shape[-1]
    return F.pad(rows, (0, -width % _columns(width))).contiguous().numpy()


def padded_width(weights: np.ndarray) -> int:
    """Return the number of columns of matrices in panels, padding included."""
    return int(weights.shape[1] * weights.shape[3])


def padded_to_vectors(width: int) -> int:
    """Round a number of columns up to a multiple of `LANES`, the numbers in a vector."""
    return width + -width % LANES


def _columns(width: int) -> int:
    """Choose the widest panel with which padding adds less than a vector or than a sixteenth."""
    wide, bound = VECTORS * LANES, max(LANES - 1, width // 16)
    return next(columns for columns in (wide, wide // 2, LANES) if -width % columns <= bound)


def _joined(numbers: Tensor) -> Tensor:
    """Round numbers (..., 2 N) to bfloat16, and join neighbours: integers of 32 bits, (..., N)."""
    # A tensor without elements, or of single rows, needs the strides of a contiguous one, too.
    rounded = numbers.bfloat16().clone(memory_format=torch.contiguous_format)
    return rounded.view(torch.int32)
