"""How compiled code holds matrices: in panels, a few vector registers wide."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from flows.engines.cpu.intrinsics import LANES, VECTORS


def in_panels(matrices: Tensor, in_pairs: bool = False) -> np.ndarray:
    """Lay matrices out in panels.

    Args:
        matrices: shape (N, depth, width), in float32.
        in_pairs: rounded to bfloat16, two rows an integer of 32 bits.
    Returns:
        shape (N, panels, depth, columns), or half of that depth; zeros beyond depth and width.
    """
    columns = _columns(matrices.shape[2])
    if in_pairs:
        rounded = F.pad(matrices.transpose(1, 2), (0, matrices.shape[1] % 2)).bfloat16()
        rounded = rounded.clone(memory_format=torch.contiguous_format)  # the strides of none, too
        matrices = rounded.view(torch.int32).transpose(1, 2)
    padded = F.pad(matrices, (0, -matrices.shape[2] % columns)).unflatten(2, (-1, columns))
    return padded.transpose(1, 2).contiguous().numpy()


def are_pairs(panels: np.ndarray) -> bool:
    """Say whether `in_panels` has laid matrices out in pairs."""
    return panels.dtype == np.int32


def whole_panels(rows: Tensor) -> np.ndarray:
    """Lengthen rows (..., N) by zeros to whole panels."""
    width = rows.shape[-1]
    return F.pad(rows, (0, -width % _columns(width))).contiguous().numpy()


def padded_width(weights: np.ndarray) -> int:
    """Return the columns of matrices in panels, the zeros beyond their width included."""
    return int(weights.shape[1] * weights.shape[3])


def padded_to_vectors(width: int) -> int:
    """Return how many numbers there are in the fewest vectors that hold so many."""
    return width + -width % LANES


def _columns(width: int) -> int:
    """Choose the columns of a matrix's panels: the widest that leave little space unused."""
    wide = VECTORS * LANES
    return next(columns for columns in (wide, wide // 2, LANES) if -width % columns < LANES)
