"""What a call costs: its time and its peak memory."""

import ctypes
import time
from collections.abc import Callable
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def seconds_of(draw: Callable[[], object], device: torch.device) -> float:
    """Measure the wall-clock time of a call; the device is idle before the call and after it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    draw()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def peak_megabytes(call: Callable[[], object], device: torch.device) -> float | None:
    """Measure the largest memory that a call uses, less the memory in use before it, in 10^6 bytes.

    On a CPU, this is the process's resident memory as Linux counts it; freed memory is returned to
    the system first. The result is None if the system does not count it.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return (torch.cuda.max_memory_allocated(device) - before) / 1e6
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
    try:
        _CLEAR.write_text("5")  # resets the peak
    except OSError:
        return None
    before = _kilobytes("VmRSS")
    call()
    return max(0, _kilobytes("VmHWM") - before) * 1024 / 1e6


def _kilobytes(field: str) -> int:
    (line,) = (s for s in _STATUS.read_text().splitlines() if s.startswith(f"{field}:"))
    return int(line.split()[1])
