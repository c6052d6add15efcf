"""Small matrix products as LLVM instructions, in float32 and in pairs of bfloat16 numbers.

Python code that numba compiles does not keep the sums of a product in registers. The functions of
this module therefore generate LLVM's instructions themselves. A vector has `LANES` float32 numbers,
and a panel is a matrix that is a few vectors wide (`flows.engines.cpu.panels`).

A matrix of pairs is an array of integers of 32 bits. Each integer holds two bfloat16 numbers of
neighbouring rows.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from flows.engines.cpu.instructions.intrinsics import LANES, MULTIPLIES_PAIRS, instruction


class _BFloat16(ir.Type):
    """LLVM's type of a bfloat16 number, which llvmlite lacks."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat16)

    def __hash__(self) -> int:
        return hash(_BFloat16)


def is_of_pairs(array: types.Array | types.CPointer) -> bool:
    """Tell from the type of an array or a pointer whether it holds pairs of bfloat16 numbers.

    Raises:
        TypingError: if it holds pairs, and the processor has no instructions for pairs.
    """
    pairs: bool = array.dtype == types.int32
    if pairs and not MULTIPLIES_PAIRS:
        raise TypingError("this processor does not multiply pairs of bfloat16 numbers")
    return pairs


class _Products:
    """Writer of the instructions that multiply numbers of a row by vectors of a panel.

    Args:
        builder: llvmlite's builder of the function that is being compiled.
        in_pairs: whether row and panel hold pairs of bfloat16 numbers.
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
        """Return pointers to `num_vectors` vectors of sums, from element `at` of `data` on."""
        return [self._pointer(data, at, v, self.vector) for v in range(num_vectors)]

    def columns(self, data: Any, at: Any, num_vectors: int) -> list[Any]:
        """Load `num_vectors` vectors of a panel, from element `at` of `data` on."""
        pointers = [self._pointer(data, at, v, self._entry) for v in range(num_vectors)]
        return [self._builder.load(pointer, align=4) for pointer in pointers]

    def everywhere(self, data: Any, at: Any) -> Any:
        """Load element `at` of a row into all lanes of a vector."""
        builder, undefined = self._builder, ir.Constant(self._entry, ir.Undefined)
        first = builder.insert_element(
            undefined, builder.load(builder.gep(data, [at])), ir.IntType(32)(0)
        )
        return builder.shuffle_vector(
            first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        )

    def add(self, value: Any, column: Any, total: Any) -> None:
        """Add value times column to the sum at pointer `total`.

        The sum has a place in memory, which LLVM's optimiser replaces by a register.
        """
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
    """Make the function that multiplies a few rows of a matrix by a panel.

    Args:
        num_rows: number of rows of x.
        num_vectors: number of vectors across the panel.
    Returns:
        a function for compiled code, `tile`.
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
        """Add sum_k x[r, k] w[k, :] to out[r, :] for every row r.

        `out` and `x` are pointers. Their first elements are `out_at` and `x_at`, and their rows are
        `out_width` and `x_width` elements apart. `w` is a pointer to the panel, whose first element
        is `w_at`. A sum has `depth` terms. Without `apart`, a sum begins with out[r, :]. With
        `apart`, it begins with zero, and the complete sum is added to out[r, :].
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
    """Make the function that multiplies parts of one row by several panels in one loop.

    The sums of different products do not depend on each other, so the processor need not wait for
    one sum before it continues with another.

    Args:
        num_vectors: number of vectors across a panel.
        plan: for each sum, the indices of its output, its panel, and its part of the row. The
            highest index of a part, plus 1, is the number of equal parts of the row. The first
            sum of an output begins with the output's value; further sums begin with zero and are
            added when they are complete.
    Returns:
        a function for compiled code, `products`.
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
        """Add the products of the plan to the outputs.

        `x` is a pointer to the row; `outs` and `w` are tuples of pointers to the outputs and to
        the panels. Row, outputs and panels begin at the elements `x_at`, `out_ats` and `w_ats`.
        `depth` is the length of the whole row.
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
def holds_pairs(typing_context: Any, array: Any) -> Any:
    """Tell whether an array holds pairs of bfloat16 numbers. The result is known when compiling."""
    pairs = is_of_pairs(array)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.IntType(1)(int(pairs))

    return types.boolean(array), generate


@instruction
def round_vector(typing_context: Any, x: Any, x_at: Any, out: Any, out_at: Any) -> Any:
    """Round one vector of numbers to pairs of bfloat16, if `out` holds pairs; else do nothing.

    A number is rounded to the nearest bfloat16 number; NaN stays NaN.

    Args:
        x: array of float32 numbers.
        x_at: index of the vector's first number, counted through all rows.
        out: array of integers that hold pairs, or another array, which stays unchanged.
        out_at: index of the first pair, counted through all rows.
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
