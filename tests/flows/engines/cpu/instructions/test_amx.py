"""The permission to use AMX, and the workspace of a thread."""

import ctypes
import platform

import numpy as np
import pytest

from flows.engines.cpu.instructions import amx
from flows.engines.cpu.instructions.amx import (
    CONFIGURATION,
    SUMS,
    TILE_PAIRS,
    TILE_ROWS,
    amx_is_granted,
    amx_workspace,
)
from flows.engines.cpu.instructions.intrinsics import HAS_AMX, LANES, VECTORS


class Kernel:
    """Stands for Linux, and answers each request for the tile registers."""

    def __init__(self, answer: int) -> None:
        self.answer = answer
        self.requests: list[tuple[int, ...]] = []

    def syscall(self, *numbers: int) -> int:
        self.requests.append(numbers)
        return self.answer


@pytest.mark.parametrize("answer", [0, -1])
def test_the_kernel_is_asked_for_the_tile_registers(
    monkeypatch: pytest.MonkeyPatch, answer: int
) -> None:
    kernel = Kernel(answer)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: kernel)
    monkeypatch.setattr(amx, "HAS_AMX", True)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    assert amx_is_granted.__wrapped__() == (answer == 0)
    # arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)
    assert kernel.requests == [(158, 0x1023, 18)]


@pytest.mark.parametrize(("has_amx", "system"), [(False, "Linux"), (True, "Darwin")])
def test_nobody_else_is_asked(monkeypatch: pytest.MonkeyPatch, has_amx: bool, system: str) -> None:
    kernel = Kernel(0)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: kernel)
    monkeypatch.setattr(amx, "HAS_AMX", has_amx)
    monkeypatch.setattr(platform, "system", lambda: system)
    assert not amx_is_granted.__wrapped__()
    assert kernel.requests == []


def test_a_granted_workspace_configures_every_number_of_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(amx, "amx_is_granted", lambda: True)
    workspace = amx_workspace(True)
    assert workspace.ctypes.data % 64 == 0
    assert workspace.size == SUMS + TILE_ROWS * VECTORS * LANES
    assert workspace[0] == 0  # nothing is configured yet
    for rows in range(1, TILE_ROWS + 1):
        start = rows * CONFIGURATION
        configuration = workspace[start : start + CONFIGURATION].view(np.uint8)
        assert configuration.size == 64
        assert configuration[0] == 1
        assert (configuration[16:32].view(np.uint16) == 4 * TILE_PAIRS).all()
        # Tiles of sums and of the rows of x, then tiles of the panel.
        assert set(configuration[48 : 48 + VECTORS + 1]) == {rows}
        assert set(configuration[48 + VECTORS + 1 : 56]) == {TILE_PAIRS}


def test_without_pairs_or_permission_the_workspace_is_empty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert amx_workspace(False).size == 0
    assert (amx_workspace(True).size > 0) == amx_is_granted()
    assert HAS_AMX or not amx_is_granted()
    monkeypatch.setattr(amx, "amx_is_granted", lambda: False)
    assert amx_workspace(True).size == 0
