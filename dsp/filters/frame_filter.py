"""A causal filter whose taps change from frame to frame, compiled, without gradients."""

import numba
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

AT_ONCE = 4
"""Number of taps that are added to a sum at once; the loop below writes them out."""


def is_compiled_for(x: Tensor) -> bool:
    """Tell whether `filter_by_frames` applies to a tensor: on a CPU, and no gradients."""
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and not torch.is_grad_enabled()
    )


def filter_by_frames(extended: Tensor, taps: Tensor) -> Tensor:
    r"""Filter signals by the taps of each frame: :math:`y_t = \sum_{k=1}^{K} h_k(l_t)\, x_{t-k}`.

    Args:
        extended: K earlier samples, then the T samples of the signal, shape (N, K + T).
        taps: h_1 .. h_K of each frame, shape (N, L, K), with T a multiple of L.
    Returns:
        y, shape (N, T).
    """
    more = -taps.shape[2] % AT_ONCE  # taps that are 0
    samples = extended.shape[1] - taps.shape[2]
    extended, taps = F.pad(extended, (more, 0)).contiguous(), F.pad(taps, (0, more)).contiguous()
    out = extended.new_empty(extended.shape[0], samples)
    _filter(extended.numpy(), taps.numpy(), out.numpy())
    return out


@numba.njit(cache=True, nogil=True, fastmath={"contract", "reassoc"}, error_model="numpy")
def _filter(extended: np.ndarray, taps: np.ndarray, out: np.ndarray) -> None:  # pragma: no cover
    """Compute `filter_by_frames` with a multiple of AT_ONCE taps."""
    frames, terms = taps.shape[1:]
    past, span = extended.shape[1] - out.shape[1], out.shape[1] // frames
    total = np.zeros(span, out.dtype)
    for row in range(out.shape[0]):
        signal = extended[row]
        for frame in range(frames):
            start = past + frame * span
            total[:] = 0.0
            for k in range(0, terms, AT_ONCE):
                a, b, c, d = taps[row, frame, k : k + AT_ONCE]
                first = start - 1 - k
                x0, x1 = signal[first : first + span], signal[first - 1 : first - 1 + span]
                x2, x3 = signal[first - 2 : first - 2 + span], signal[first - 3 : first - 3 + span]
                for t in range(span):
                    total[t] += (a * x0[t] + b * x1[t]) + (c * x2[t] + d * x3[t])
            for t in range(span):
                out[row, frame * span + t] = total[t]
