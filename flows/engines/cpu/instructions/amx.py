"""Intel's Advanced Matrix Extensions (AMX): products of pairs of bfloat16 numbers in tiles.

A core with AMX has eight tile registers of 16 rows of 64 bytes. One instruction multiplies a tile
of 16 rows of 16 pairs by a tile of 16 pairs of 16 columns, and adds to a tile of sums in float32.
Within an instruction, the first numbers of the pairs are summed apart from the second ones. So the
results differ by rounding from those of AVX-512 BF16. A row's result does not depend on the number
of rows in a tile.

The number of rows is a part of the tiles' configuration, which a thread loads before it multiplies.
Each thread that multiplies has a workspace, an array in float32 that holds:

* the number of rows for which the tiles are configured now; 0 for none;
* the configurations for 1 to 16 rows;
* one row of tiles, for sums that are added elsewhere when they are complete.

A workspace without elements stands for no AMX. Linux lets a process use the tile registers after
the process has asked (its documentation, "Using XSTATE features in user space applications").
"""

import ctypes
import platform
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from flows.engines.cpu.instructions.intrinsics import (
    HAS_AMX,
    LANES,
    VECTORS,
    instruction,
)
from flows.engines.cpu.instructions.products import is_of_pairs

TILE_ROWS = 16
TILE_PAIRS = 16
"""The number of rows of a tile, and of pairs in each row."""

CONFIGURATION = 16
"""Size of a configuration, float32 numbers: 64 bytes."""
SUMS = (1 + TILE_ROWS) * CONFIGURATION
"""Index of the first sum in a workspace."""
_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _TILE_DATA = 158, 0x1023, 18  # of Linux on x86-64


@cache
def amx_is_granted() -> bool:
    """Return whether this process may use AMX: it asks the kernel once."""
    if not HAS_AMX or platform.system() != "Linux":
        return False
    system_call = ctypes.CDLL(None).syscall
    return int(system_call(_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _TILE_DATA)) == 0


def amx_workspace(in_pairs: bool) -> np.ndarray:
    """Return a thread's workspace, shape (N,) in float32.

    Args:
        in_pairs: whether the thread multiplies pairs of bfloat16 numbers.
    Returns:
        the workspace; without elements if `in_pairs` is false or AMX may not be used.
    """
    if not in_pairs or not amx_is_granted():
        return np.zeros(0, np.float32)
    return _configured().clone().numpy()


@cache
def _configured() -> torch.Tensor:
    """Return a workspace with its configurations. PyTorch's memory begins at a cache line."""
    tensor = torch.zeros(SUMS + TILE_ROWS * VECTORS * LANES)
    workspace = tensor.numpy()
    for rows in range(1, TILE_ROWS + 1):
        start = rows * CONFIGURATION
        configuration = workspace[start : start + CONFIGURATION].view(np.uint8)
        configuration[0] = 1  # the palette: the eight tiles
        configuration[16:32:2] = 4 * TILE_PAIRS  # bytes in a row of each tile
        configuration[48:56] = [rows] * _PANEL_TILE + [TILE_PAIRS] * (8 - _PANEL_TILE)
    return tensor


_ROWS_TILE, _PANEL_TILE = VECTORS, VECTORS + 1
"""Numbers of tile registers: sums are in the first, then come rows of x, then parts of a panel."""


def _tile_instruction(builder: Any, name: str, *arguments: Any) -> None:
    kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
    called = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}")
    builder.call(called, arguments)


def _at(builder: Any, pointer: Any, index: Any) -> Any:
    """Return the untyped pointer to an element."""
    return builder.bitcast(builder.gep(pointer, [index]), ir.PointerType(ir.IntType(8)))


def _each_tile(builder: Any, num_tiles: Any) -> Iterator[int]:
    """Yield the number of each tile of columns, within a branch for panels that have this tile."""
    for n in range(VECTORS if HAS_AMX else 0):
        with builder.if_then(builder.icmp_signed("<", ir.IntType(64)(n), num_tiles)):
            yield n


@instruction
def load_configuration(typing_context: Any, workspace: Any, at: Any) -> Any:
    """Configure the tiles by the 64 bytes from element `at` of a workspace on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if HAS_AMX:
            _tile_instruction(builder, "ldtilecfg", _at(builder, *arguments))
        return context.get_dummy_value()

    return types.void(workspace, types.intp), generate


@instruction
def release_tiles(typing_context: Any) -> Any:
    """Give the tile registers up."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if HAS_AMX:
            _tile_instruction(builder, "tilerelease")
        return context.get_dummy_value()

    return types.void(), generate


def _sums(name: str) -> Callable[..., Any]:
    """Make the function that moves sums by a tile instruction, from or to rows of a matrix."""

    @intrinsic
    def move(typing_context: Any, out: Any, out_at: Any, out_width: Any, num_tiles: Any) -> Any:
        """Move the sums of a tile of rows and of `num_tiles` tiles of columns, 1 to `VECTORS`.

        `out` is a pointer. The first sum is its element `out_at`, and its rows are `out_width`
        elements apart.
        """

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            to, out_at, out_width, num_tiles = arguments
            stride = builder.mul(out_width, ir.IntType(64)(4))
            for n in _each_tile(builder, num_tiles):
                place = _at(builder, to, builder.add(out_at, ir.IntType(64)(n * LANES)))
                _tile_instruction(builder, name, ir.IntType(8)(n), place, stride)
            return context.get_dummy_value()

        return types.void(out, types.intp, types.intp, types.intp), generate

    return move


load_sums, store_sums = _sums("tileloadd64"), _sums("tilestored64")


@instruction
def clear_sums(typing_context: Any) -> Any:
    """Set all sums to zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        for n in range(VECTORS if HAS_AMX else 0):
            _tile_instruction(builder, "tilezero", ir.IntType(8)(n))
        return context.get_dummy_value()

    return types.void(), generate


@instruction
def add_products(
    typing_context: Any,
    x: Any,
    x_at: Any,
    x_width: Any,
    w: Any,
    w_at: Any,
    depth: Any,
    num_tiles: Any,
) -> Any:
    """Add sum_k x[r, k] w[k, :] to the sums of each row r of a tile.

    `x` and `w` are pointers. The rows of x begin at `x_at` and are `x_width` elements apart. The
    panel begins at `w_at`, and is `num_tiles` tiles wide, 1 to `VECTORS`. A sum has `depth` terms,
    a multiple of `TILE_PAIRS`.
    """
    index, in_pairs = types.intp, is_of_pairs(w)
    signature = types.void(x, index, index, w, index, index, index)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if not (HAS_AMX and in_pairs):
            return context.get_dummy_value()
        number, index = ir.IntType(8), ir.IntType(64)
        source, x_at, x_width, weights, w_at, depth, num_tiles = arguments
        columns = builder.mul(num_tiles, index(LANES))
        x_stride, w_stride = (builder.mul(n, index(4)) for n in (x_width, columns))
        with cgutils.for_range(builder, builder.sdiv(depth, index(TILE_PAIRS))) as loop:
            k = builder.mul(loop.index, index(TILE_PAIRS))
            place = _at(builder, source, builder.add(x_at, k))
            _tile_instruction(builder, "tileloadd64", number(_ROWS_TILE), place, x_stride)
            row = builder.add(w_at, builder.mul(k, columns))
            for n in _each_tile(builder, num_tiles):
                tile = number(_PANEL_TILE + n % (8 - _PANEL_TILE))
                place = _at(builder, weights, builder.add(row, index(n * LANES)))
                _tile_instruction(builder, "tileloadd64", tile, place, w_stride)
                _tile_instruction(builder, "tdpbf16ps", number(n), number(_ROWS_TILE), tile)
        return context.get_dummy_value()

    return signature, generate
