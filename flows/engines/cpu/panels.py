"""Layout of matrices for compiled code: in panels of columns, a few vector registers wide."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from flows.engines.cpu.intrinsics import LANES, VECTORS


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
        rounded = F.pad(matrices.transpose(1, 2), (0, matrices.shape[1] % 2)).bfloat16()
        # An empty tensor, too, needs the strides of a contiguous one for the view.
        rounded = rounded.clone(memory_format=torch.contiguous_format)
        matrices = rounded.view(torch.int32).transpose(1, 2)
    padded = F.pad(matrices, (0, -matrices.shape[2] % columns)).unflatten(2, (-1, columns))
    return padded.transpose(1, 2).contiguous().numpy()


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
