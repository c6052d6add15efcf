"""Instructions for small matrix products, in float32 and in pairs of bfloat16 numbers."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from flows.engines.cpu.intrinsics import LANES, MULTIPLIES_PAIRS, instruction


class _BFloat16(ir.Type):
    """LLVM's type of a bfloat16 number, which llvmlite lacks."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat16)

    def __hash__(self) -> int:
        return hash(_BFloat16)


def is_of_pairs(array: types.Array | types.CPointer) -> bool:
    """Return whether an array or a pointer is of pairs of bfloat16 numbers, integers of 32 bits.

    Raises:
        TypingError: if the type holds pairs, and the processor has no instructions for pairs.
    """
    pairs: bool = array.dtype == types.int32
    if pairs and not MULTIPLIES_PAIRS:
        raise TypingError("this processor does not multiply pairs of bfloat16 numbers")
    return pairs


class _Products:
    """Builder of the instructions that add products of a row's numbers and a matrix's vectors.

    With `in_pairs`, the row and the vectors consist of integers. Each integer holds a pair of
    bfloat16 numbers, which are neighbours along the depth of the product.
    """

    def __init__(self, builder: Any, in_pairs: bool) -> None:
        self._builder, self._in_pairs = builder, in_pairs
        self.vector = ir.VectorType(ir.FloatType(), LANES)
        self.zero = ir.Constant(self.vector, None)
        self._entry = ir.VectorType(ir.IntType(32), LANES) if in_pairs else self.vector
        self._pairs = ir.VectorType(_BFloat16(), 2 * LANES)
        name, kind = f"llvm.fma.v{LANES}f32", ir.FunctionType(self.vector, [self.vector] * 3)
        if in_pairs:
            name = "llvm.x86.avx512bf16.dpbf16ps.512"
            kind = ir.FunctionType(self.vector, [self.vector, self._pairs, self._pairs])
        self._instruction = cgutils.get_or_insert_function(builder.module, kind, name)

    def sums_at(self, data: Any, at: Any, num_vectors: int) -> list[Any]:
        """Return pointers to consecutive vectors of sums, from element `at` onwards."""
        return [self._pointer(data, at, v, self.vector) for v in range(num_vectors)]

    def columns(self, data: Any, at: Any, num_vectors: int) -> list[Any]:
        """Load consecutive vectors of a matrix, from element `at` onwards."""
        pointers = [self._pointer(data, at, v, self._entry) for v in range(num_vectors)]
        return [self._builder.load(pointer, align=4) for pointer in pointers]

    def everywhere(self, data: Any, at: Any) -> Any:
        """Load one number of the row into all lanes of a vector."""
        builder, undefined = self._builder, ir.Constant(self._entry, ir.Undefined)
        first = builder.insert_element(
            undefined, builder.load(builder.gep(data, [at])), ir.IntType(32)(0)
        )
        return builder.shuffle_vector(
            first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        )

    def add(self, value: Any, column: Any, total: Any) -> None:
        """Add a product to a sum in memory, which LLVM's optimiser moves to a register."""
        builder, before = self._builder, self._builder.load(total)
        factors = [value, column]
        if self._in_pairs:
            pairs = [builder.bitcast(factor, self._pairs) for factor in factors]
            after = builder.call(self._instruction, [before, *pairs])
        else:
            after = builder.call(self._instruction, [*factors, before])
        builder.store(after, total)

    def _pointer(self, data: Any, at: Any, v: int, kind: Any) -> Any:
        place = self._builder.gep(data, [self._builder.add(at, ir.IntType(64)(v * LANES))])
        return self._builder.bitcast(place, kind.as_pointer())


def tile_product(num_rows: int, num_vectors: int) -> Callable[..., Any]:
    """Make the innermost product: `num_rows` rows of x times a panel of `num_vectors` vectors.

    The product is written in LLVM's instructions, because Python code compiled by numba does not
    keep the sums in registers.
    """

    @intrinsic
    def tile(
        typing_context: Any,
        out: Any,
        out_at: Any,
        out_width: Any,
        x: Any,
        x_at: Any,
        x_width: Any,
        w: Any,
        w_at: Any,
        depth: Any,
        apart: Any,
    ) -> Any:
        """Add sum_k x[r, k] w[k, :] to out[r, :].

        `out`, `x` and `w` are pointers. Elements `out_at`, `x_at` and `w_at` are the first of each,
        and `out_width` and `x_width` are the lengths of a row. The sum begins with out[r, :]. If it
        is taken `apart`, it begins with zero, and the complete sum is added to out[r, :].
        """
        index = types.intp
        rows = (out, index, index, x, index, index)
        signature = types.void(*rows, w, index, index, types.boolean)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            def starts(at: Any, width: Any) -> list[Any]:
                found = [at]
                for _ in range(num_rows - 1):
                    found.append(builder.add(found[-1], width))
                return found

            make = _Products(builder, is_of_pairs(w))
            to, out_at, out_width, source, x_at, x_width, weights, w_at, depth, apart = arguments
            targets = [
                target
                for start in starts(out_at, out_width)
                for target in make.sums_at(to, start, num_vectors)
            ]
            sums = [cgutils.alloca_once(builder, make.vector) for _ in targets]
            for target, total in zip(targets, sums, strict=True):
                before = builder.load(target, align=4)
                builder.store(builder.select(apart, make.zero, before), total)
            x_starts = starts(x_at, x_width)
            with cgutils.for_range(builder, depth) as loop:
                k = loop.index
                w_row = builder.add(w_at, builder.mul(k, k.type(num_vectors * LANES)))
                columns = make.columns(weights, w_row, num_vectors)
                for row, start in enumerate(x_starts):
                    value = make.everywhere(source, builder.add(start, k))
                    for v, column in enumerate(columns):
                        make.add(value, column, sums[row * num_vectors + v])
            for target, total in zip(targets, sums, strict=True):
                whole = builder.fadd(builder.load(target, align=4), builder.load(total))
                whole = builder.select(apart, whole, builder.load(total))
                builder.store(whole, target, align=4)
            return context.get_dummy_value()

        return signature, generate

    return tile


def row_products(num_vectors: int, plan: tuple[tuple[int, int, int], ...]) -> Callable[..., Any]:
    """Make several products of one row with panels in one loop: no sum waits for another sum.

    Args:
        num_vectors: number of vectors across a panel.
        plan: three numbers for each sum: the output that the sum is added to, the panel that it
            multiplies, and the part of the row that it runs over. The first sum of an output begins
            with the output's value; further sums are taken apart, see `tile_product`.
    """
    parts = 1 + max(part for _, _, part in plan)

    @intrinsic
    def products(
        typing_context: Any,
        outs: Any,
        out_ats: Any,
        x: Any,
        x_at: Any,
        w: Any,
        w_ats: Any,
        depth: Any,
    ) -> Any:
        """Add the plan's products of equal parts of x[:depth], beginning at elements `.._at`.

        `x`, and the members of the tuples `outs` and `w`, are pointers.
        """
        signature = types.void(outs, out_ats, x, types.intp, w, w_ats, types.intp)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            def each(i: int) -> list[Any]:
                return cgutils.unpack_tuple(builder, arguments[i], len(signature.args[i]))

            make = _Products(builder, is_of_pairs(x))
            outputs, out_ats, panels, w_ats = each(0), each(1), each(4), each(5)
            x_data, x_at, depth = arguments[2], arguments[3], arguments[6]
            span = builder.sdiv(depth, depth.type(parts))
            targets = [
                make.sums_at(data, at, num_vectors)
                for data, at in zip(outputs, out_ats, strict=True)
            ]
            sums: list[list[Any]] = []  # for each sum of the plan, its vectors
            of_output: list[list[list[Any]]] = [[] for _ in targets]
            for out, _, _ in plan:
                totals = [cgutils.alloca_once(builder, make.vector) for _ in targets[out]]
                for target, total in zip(targets[out], totals, strict=True):
                    begun = make.zero if of_output[out] else builder.load(target, align=4)
                    builder.store(begun, total)
                sums.append(totals)
                of_output[out].append(totals)
            with cgutils.for_range(builder, span) as loop:
                for part in range(parts):
                    i = builder.add(loop.index, builder.mul(span, span.type(part)))
                    value = make.everywhere(x_data, builder.add(x_at, i))
                    below = builder.mul(i, i.type(num_vectors * LANES))
                    for (_, panel, over), totals in zip(plan, sums, strict=True):
                        if over == part:
                            at = builder.add(w_ats[panel], below)
                            columns = make.columns(panels[panel], at, num_vectors)
                            for column, total in zip(columns, totals, strict=True):
                                make.add(value, column, total)
            for row, of_row in zip(targets, of_output, strict=True):
                for v, target in enumerate(row):
                    whole, *others = [builder.load(totals[v]) for totals in of_row]
                    for other in others:
                        whole = builder.fadd(whole, other)
                    builder.store(whole, target, align=4)
            return context.get_dummy_value()

        return signature, generate

    return products


@instruction
def pointer_to(typing_context: Any, array: Any, at: Any) -> Any:
    """Return a pointer to an element of a contiguous array, numbered through all rows."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.gep(data, [arguments[1]])

    return types.CPointer(array.dtype)(array, types.intp), generate


@instruction
def holds_pairs(typing_context: Any, array: Any) -> Any:
    """Return whether an array holds pairs of bfloat16 numbers; a constant in compiled code."""
    pairs = is_of_pairs(array)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.IntType(1)(int(pairs))

    return types.boolean(array), generate


@instruction
def round_vector(typing_context: Any, x: Any, x_at: Any, out: Any, out_at: Any) -> Any:
    """Round a vector of numbers to pairs of bfloat16, if `out` holds integers; else do nothing.

    The vector begins at element `x_at` of `x`, and its pairs at element `out_at` of `out`. A number
    rounds to the nearest bfloat16 number, and NaN to NaN.
    """
    to_pairs = is_of_pairs(out)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if to_pairs:
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
