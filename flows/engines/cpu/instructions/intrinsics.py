"""How code is compiled, and processor instructions that code compiled by numba cannot express."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_FEATURES = binding.get_host_cpu_features()
WIDE_VECTORS = bool(_FEATURES.get("avx512f", False))
MULTIPLIES_PAIRS = WIDE_VECTORS and bool(_FEATURES.get("avx512bf16", False))
"""Whether the processor multiplies pairs of bfloat16 numbers, one pair in each lane of 32 bits."""

HAS_AMX = MULTIPLIES_PAIRS and all(_FEATURES.get(f"amx-{unit}", False) for unit in ("tile", "bf16"))
"""Whether the processor multiplies pairs in tiles; see `flows.engines.cpu.instructions.amx`."""

LANES = 16 if WIDE_VECTORS else 8
"""Number of float32 numbers in a vector register."""

VECTORS = 4 if WIDE_VECTORS else 2
"""Number of vectors across a wide panel: four rows of sums then fill half of the registers."""


# LLVM may fuse a product with a sum (one rounding instead of two), but may not reorder a sum.
CONTRACT = {"contract"}

_F = TypeVar("_F", bound=Callable[..., Any])


def compiled_inside(**options: Any) -> Callable[[_F], _F]:
    """Return the decorator of a function that compiled code alone calls.

    The function has no wrappers for Python's calls. The wrappers of a function with a dozen arrays
    for arguments take longer to compile than the function.

    Args:
        options: further options of `numba.njit`.
    """
    without = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    njit = cast(Any, numba.njit)  # its type lacks these options
    decorator: Callable[[_F], _F] = njit(
        cache=True, fastmath=CONTRACT, error_model="numpy", **without, **options
    )
    return decorator


def bit_cast(from_type: types.Type, to_type: types.Type, to_ir: ir.Type) -> Callable[..., Any]:
    """Make an intrinsic that reads a number's bits as another type."""

    @intrinsic
    def read(typing_context: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], to_ir)

        return to_type(from_type), generate

    return read


def instruction(generator: Callable[..., Any]) -> Callable[..., Any]:
    """Make an intrinsic from its generator: numba's `intrinsic`, with a type.

    The generator takes the typing context, then the intrinsic's arguments.
    """
    return intrinsic(generator)


@instruction
def borrow(typing_context: Any, fields: Any) -> Any:
    """Return a named tuple whose arrays are read without counting references.

    The caller must keep references to the arrays until the tuple is no longer used. Counting a
    reference is a locked instruction, which waits until all earlier writes are done.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        borrowed = arguments[0]
        for i, field in enumerate(fields.types):
            if isinstance(field, types.Array):
                value = builder.extract_value(borrowed, i)
                array = context.make_array(field)(context, builder, value)
                array.meminfo = ir.Constant(array.meminfo.type, None)
                borrowed = builder.insert_value(borrowed, array._getvalue(), i)
        return borrowed

    return fields(fields), generate


def _atomic(write_order: str, read_order: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Make the atomic write and the atomic read of an integer that two threads use."""

    @intrinsic
    def write(typing_context: Any, integers: Any, at: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            builder.store_atomic(arguments[2], builder.gep(data, [arguments[1]]), write_order, 8)
            return context.get_dummy_value()

        return types.void(integers, types.intp, types.int64), generate

    @intrinsic
    def read(typing_context: Any, integers: Any, at: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            return builder.load_atomic(builder.gep(data, [arguments[1]]), read_order, 8)

        return types.int64(integers, types.intp), generate

    return write, read


publish, observe = _atomic("release", "acquire")
"""`publish` sets a counter and `observe` reads it. A thread that observes the new count also sees
everything that the other thread wrote before publishing it."""

send, receive = _atomic("monotonic", "monotonic")
"""`send` writes and `receive` reads an integer that carries its own mark of being new. Their order
relative to other reads and writes is not fixed."""


@instruction
def fetch_to_write(typing_context: Any, array: Any, at: Any) -> Any:
    """Prefetch, for writing, the cache line of an element that another thread has read."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        pointer, number = ir.PointerType(ir.IntType(8)), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        line = builder.bitcast(builder.gep(data, [arguments[1]]), pointer)
        to_write, in_every_cache, of_data = number(1), number(3), number(1)
        builder.call(call, [line, to_write, in_every_cache, of_data])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@instruction
def pointer_to(typing_context: Any, array: Any, at: Any) -> Any:
    """Return a pointer to an element of a contiguous array.

    Args:
        array: the array.
        at: index of the element, counted through all rows.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.gep(data, [arguments[1]])

    return types.CPointer(array.dtype)(array, types.intp), generate


@instruction
def give_way(typing_context: Any) -> Any:
    """Let another thread run on this processor, if one is waiting."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), ())
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), ())
        return context.get_dummy_value()

    return types.void(), generate


as_int = bit_cast(types.float32, types.int32, ir.IntType(32))
as_float = bit_cast(types.int32, types.float32, ir.FloatType())


@instruction
def whole_vectors(typing_context: Any) -> Any:
    """Make the loops of the calling function use the processor's full vector width.

    LLVM prefers half the width on some processors, whose older models lowered their clock for
    full-width vectors.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if WIDE_VECTORS:  # set.add bypasses llvmlite's list of names, which lacks this attribute
            set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), generate
