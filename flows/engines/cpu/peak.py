"""Peak speed of compiled matrix products whose operands stay in a core's first-level cache."""

import time
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import torch

from flows.engines.cpu.intrinsics import CONTRACT
from flows.engines.cpu.kernels import multiply_add
from flows.engines.cpu.panels import in_panels

ROWS, DEPTH, COLUMNS = 32, 64, 64
TIMES, TRIES = 10_000, 10


@numba.njit(cache=True, fastmath=CONTRACT, error_model="numpy", nogil=True)
def _multiply(
    out: np.ndarray, x: np.ndarray, weights: np.ndarray, times: int
) -> None:  # pragma: no cover
    for _ in range(times):
        multiply_add(out, 0, x, 0, out.shape[0], weights, 0)


def product_rate(threads: int, in_pairs: bool = False) -> float:
    """Measure the speed of small matrix products, one on each thread.

    Args:
        threads: number of threads.
        in_pairs: whether to multiply pairs of bfloat16 numbers, which the processor must support.
    Returns:
        floating-point operations a second of all threads together, the best of `TRIES` tries.
    """
    weights = in_panels(torch.zeros(1, DEPTH, COLUMNS), in_pairs)
    x = np.zeros((ROWS, weights.shape[2]), weights.dtype)
    outs = [np.zeros((ROWS, COLUMNS), np.float32) for _ in range(threads)]
    _multiply(outs[0], x, weights, 1)  # compiles
    seconds = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(TRIES):
            start = time.perf_counter()
            for run in [pool.submit(_multiply, out, x, weights, TIMES) for out in outs]:
                run.result()
            seconds.append(time.perf_counter() - start)
    return 2.0 * ROWS * DEPTH * COLUMNS * TIMES * threads / min(seconds)
