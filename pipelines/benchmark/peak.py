"""The peak rate of matrix products of a machine, to which systems are compared."""

import time
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import torch

from flows.engines.cpu.instructions.amx import amx_workspace
from flows.engines.cpu.instructions.intrinsics import CONTRACT, MULTIPLIES_PAIRS
from flows.engines.cpu.kernels import multiply_add
from flows.engines.cpu.panels import in_panels
from flows.engines.cpu.tiles import begin_amx, end_amx
from flows.engines.threads import pytorch_threads
from pipelines.benchmark.call_costs import seconds_of

SIZE, TRIES = 1024, 10
"""Rows of PyTorch's matrices, and number of tries; the fastest try counts."""

ROWS, DEPTH, COLUMNS, TIMES = 32, 64, 64, 10_000
"""Size of the compiled product, which stays in a core's first-level cache, and its repetitions."""


def peak_gflops(threads: int, device: torch.device, dtype: torch.dtype = torch.float32) -> float:
    """Measure the best rate of matrix products, in 1e9 floating-point operations a second.

    The rate is measured with PyTorch's product of large matrices. On a CPU, the small products of
    the compiled code are measured, too, and the higher rate counts: PyTorch's library does not use
    the full vector width of every processor.

    Args:
        threads: number of threads on a CPU.
        device: device of the matrices.
        dtype: type of the matrices, float32 or bfloat16.
    """
    a, b = (torch.randn(SIZE, SIZE, device=device).to(dtype) for _ in range(2))
    with pytorch_threads(threads):
        seconds = min(seconds_of(lambda: a @ b, device) for _ in range(TRIES))
    rates = [2 * SIZE**3 / seconds]
    if device.type == "cpu" and (dtype == torch.float32 or MULTIPLIES_PAIRS):
        rates.append(compiled_product_rate(threads, dtype == torch.bfloat16))
    return max(rates) / 1e9


# Not cached: numba would keep this function's code when the code of `multiply_add` has changed.
@numba.njit(fastmath=CONTRACT, error_model="numpy", nogil=True)
def _multiply(
    out: np.ndarray, x: np.ndarray, weights: np.ndarray, times: int, workspace: np.ndarray
) -> None:  # pragma: no cover
    begin_amx(workspace)
    for _ in range(times):
        multiply_add(out, 0, x, 0, out.shape[0], weights, 0, workspace)
    end_amx(workspace)


def compiled_product_rate(threads: int, in_pairs: bool = False) -> float:
    """Measure the speed of the small products of compiled code, with one product on each thread.

    Args:
        threads: number of threads.
        in_pairs: whether to multiply pairs of bfloat16 numbers, which the processor must support.
    Returns:
        floating-point operations a second of all threads together, the best of `TRIES` tries.
    """
    weights = in_panels(torch.zeros(1, DEPTH, COLUMNS), in_pairs)
    x = np.zeros((ROWS, weights.shape[2]), weights.dtype)
    outs = [np.zeros((ROWS, COLUMNS), np.float32) for _ in range(threads)]
    workspaces = [amx_workspace(in_pairs) for _ in outs]
    _multiply(outs[0], x, weights, 1, workspaces[0])  # compiles
    seconds = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(TRIES):
            start = time.perf_counter()
            for run in [
                pool.submit(_multiply, out, x, weights, TIMES, own)
                for out, own in zip(outs, workspaces, strict=True)
            ]:
                run.result()
            seconds.append(time.perf_counter() - start)
    return 2.0 * ROWS * DEPTH * COLUMNS * TIMES * threads / min(seconds)
