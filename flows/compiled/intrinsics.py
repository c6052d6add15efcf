"""Instructions that numba cannot be asked for in Python."""

from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_FEATURES = binding.get_host_cpu_features()
WIDE_VECTORS = bool(_FEATURES.get("avx512f", False))
MULTIPLIES_PAIRS = WIDE_VECTORS and bool(_FEATURES.get("avx512bf16", False))
"""Whether the processor multiplies pairs of bfloat16 numbers, a pair in each lane of 32 bits."""

LANES = 16 if WIDE_VECTORS else 8
VECTORS = 4 if WIDE_VECTORS else 2
"""Vectors of a wide panel: with four rows of sums they fill the registers."""


class _BFloat16(ir.Type):
    """A bfloat16 number, which llvmlite does not know."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat16)

    def __hash__(self) -> int:
        return hash(_BFloat16)


def tile_product(num_rows: int, num_vectors: int) -> Callable[..., Any]:
    """Make the innermost product: rows of x times a panel, some vectors of a matrix's columns.

    numba cannot be told in Python to keep sums in registers; these are the instructions for it.
    Where x and the matrix are integers, each holds a pair of bfloat16 numbers that stand one after
    the other along the depth of the product.
    """

    @intrinsic
    def tile(
        typing_context: Any,
        out: Any,
        out_at: Any,
        x: Any,
        x_at: Any,
        w: Any,
        w_at: Any,
        depth: Any,
        apart: Any,
    ) -> Any:
        """Add sum_k x[r, k] w[k, :] to out[r, :]; each array is read from an element onwards.

        The sum begins with out[r, :] or, if it is taken `apart`, with zero.
        """
        index = types.intp
        signature = types.void(out, index, x, index, w, index, index, types.boolean)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            def array(i: int) -> Any:
                return context.make_array(signature.args[i])(context, builder, arguments[i])

            def vector_at(data: Any, at: Any, kind: Any) -> Any:
                return builder.bitcast(builder.gep(data, [at]), kind.as_pointer())

            def plus(value: Any, constant: int) -> Any:
                return builder.add(value, ir.Constant(ir.IntType(64), constant))

            def starts(block: Any, at: Any) -> list[Any]:
                width, found = builder.extract_value(block.shape, 1), [at]
                for _ in range(num_rows - 1):
                    found.append(builder.add(found[-1], width))
                return found

            vector = ir.VectorType(ir.FloatType(), LANES)
            zero = ir.Constant(vector, None)
            in_pairs = w.dtype == types.int32
            entry = ir.VectorType(ir.IntType(32), LANES) if in_pairs else vector
            undefined = ir.Constant(entry, ir.Undefined)
            lane_0 = ir.Constant(ir.IntType(32), 0)
            all_lane_0 = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
            pairs = ir.VectorType(_BFloat16(), 2 * LANES)
            name, kind = f"llvm.fma.v{LANES}f32", ir.FunctionType(vector, [vector] * 3)
            if in_pairs:
                name = "llvm.x86.avx512bf16.dpbf16ps.512"
                kind = ir.FunctionType(vector, [vector, pairs, pairs])
            instruction = cgutils.get_or_insert_function(builder.module, kind, name)

            def multiply_add(value: Any, column: Any, total: Any) -> Any:
                if in_pairs:
                    factors = [builder.bitcast(factor, pairs) for factor in (value, column)]
                    return builder.call(instruction, [total, *factors])
                return builder.call(instruction, [value, column, total])

            to, source, weights = array(0), array(2), array(4)
            _, out_at, _, x_at, _, w_at, depth, apart = arguments
            targets = [
                vector_at(to.data, plus(start, v * LANES), vector)
                for start in starts(to, out_at)
                for v in range(num_vectors)
            ]
            sums = [cgutils.alloca_once(builder, vector) for _ in targets]  # become registers
            for target, total in zip(targets, sums, strict=True):
                before = builder.load(target, align=4)
                builder.store(builder.select(apart, zero, before), total)
            x_starts = starts(source, x_at)
            with cgutils.for_range(builder, depth) as loop:
                k = loop.index
                w_row = builder.add(w_at, builder.mul(k, ir.Constant(k.type, num_vectors * LANES)))
                columns = [
                    builder.load(vector_at(weights.data, plus(w_row, v * LANES), entry), align=4)
                    for v in range(num_vectors)
                ]
                for row, start in enumerate(x_starts):
                    value = builder.load(builder.gep(source.data, [builder.add(start, k)]))
                    value = builder.insert_element(undefined, value, lane_0)
                    value = builder.shuffle_vector(value, undefined, all_lane_0)
                    for v, column in enumerate(columns):
                        total = sums[row * num_vectors + v]
                        builder.store(multiply_add(value, column, builder.load(total)), total)
            for target, total in zip(targets, sums, strict=True):
                whole = builder.fadd(builder.load(target, align=4), builder.load(total))
                whole = builder.select(apart, whole, builder.load(total))
                builder.store(whole, target, align=4)
            return context.get_dummy_value()

        return signature, generate

    return tile


def bit_cast(from_type: types.Type, to_type: types.Type, to_ir: ir.Type) -> Callable[..., Any]:
    """Make a reading of a number's bits as another type."""

    @intrinsic
    def read(typing_context: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], to_ir)

        return to_type(from_type), generate

    return read


def _instruction(generator: Callable[..., Any]) -> Callable[..., Any]:
    """Make an intrinsic of its generator, which takes what the intrinsic takes and a context."""
    return intrinsic(generator)


@_instruction
def holds_pairs(typing_context: Any, array: Any) -> Any:
    """Say whether an array is of pairs of bfloat16 numbers: known when code is compiled."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(ir.IntType(1), int(array.dtype == types.int32))

    return types.boolean(array), generate


@_instruction
def round_vector(typing_context: Any, x: Any, x_at: Any, out: Any, out_at: Any) -> Any:
    """Round a vector of numbers to pairs of bfloat16, where `out` is of integers; else do nothing.

    A vector begins at an element of each array. A number rounds to the nearest, NaN to NaN.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if out.dtype == types.int32:
            source, to = (
                context.make_array(signature.args[i])(context, builder, arguments[i]).data
                for i in (0, 2)
            )
            vector, rounded = (ir.VectorType(kind, LANES) for kind in (ir.FloatType(), _BFloat16()))
            source = builder.bitcast(builder.gep(source, [arguments[1]]), vector.as_pointer())
            to = builder.bitcast(builder.gep(to, [arguments[3]]), rounded.as_pointer())
            builder.store(builder.fptrunc(builder.load(source, align=4), rounded), to, align=4)
        return context.get_dummy_value()

    return types.void(x, types.intp, out, types.intp), generate


@_instruction
def borrow(typing_context: Any, fields: Any) -> Any:
    """Take a named tuple of arrays that the caller holds: reading one counts no references.

    Counting is a locked instruction, which waits for whatever has been written before.
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
    """Make a writing and a reading of an integer that another thread reads and writes."""

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
"""Set a counter, so that who observes it finds all that was written before; read such a counter."""

send, receive = _atomic("monotonic", "monotonic")
"""Write and read an integer that says by itself whether it is new."""


@_instruction
def fetch_to_write(typing_context: Any, array: Any, at: Any) -> Any:
    """Ask for the cache line of an element that will soon be written, and that another has read."""

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


@_instruction
def give_way(typing_context: Any) -> Any:
    """Let another thread run on this processor, if one waits for it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), ())
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), ())
        return context.get_dummy_value()

    return types.void(), generate


as_int = bit_cast(types.float32, types.int32, ir.IntType(32))
as_float = bit_cast(types.int32, types.float32, ir.FloatType())


@_instruction
def whole_vectors(typing_context: Any) -> Any:
    """Have the loops of the calling function use the processor's whole vectors.

    LLVM prefers half of them on some processors, which were once clocked down for the whole.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if WIDE_VECTORS:  # llvmlite does not know this attribute: past its check of names
            set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), generate
