"""The peak rate of matrix products of a machine, to which systems are compared."""

import torch

from flows.engines.cpu.intrinsics import MULTIPLIES_PAIRS
from flows.engines.cpu.peak import product_rate
from flows.engines.threads import pytorch_threads
from pipelines.benchmark.call_costs import seconds_of

SIZE, TRIES = 1024, 10


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
        rates.append(product_rate(threads, dtype == torch.bfloat16))
    return max(rates) / 1e9
