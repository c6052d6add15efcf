"""Small changes to a module's source, each of which the tests should notice."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.USub: ast.UAdd,
}
_EXCHANGED = {
    f"{prefix}{name}": f"{prefix}{other}"
    for first, second in (("min", "max"), ("minimum", "maximum"), ("any", "all"), ("floor", "ceil"))
    for name, other in ((first, second), (second, first))
    for prefix in ("", "a", "arg", "clamp_")
}
# Messages, types and the program's own invariants are not behaviour to test.
_SKIPPED_NODES = (ast.Raise, ast.Assert, ast.Import, ast.ImportFrom, ast.JoinedStr)
_SKIPPED_FIELDS = ("annotation", "returns", "decorator_list")
_MESSAGES = ("debug", "info", "warning", "warn", "print")
_COMPILED = ("njit", "intrinsic", "triton.jit")

Lines = tuple[int, int] | None
"""The first and last line of a statement, None if it runs when its module is imported."""
Change = tuple[ast.stmt | ast.expr, Callable[[], None], Lines]


@dataclass(frozen=True)
class Mutant:
    """One change: its place, the line before and after, and the changed source."""

    line: int
    lines: Lines
    before: str
    after: str
    source: str


def count(source: str) -> int:
    """Count the changes that can be made."""
    return sum(1 for _ in _changes(ast.parse(source), None))


def mutate(source: str, number: int) -> Mutant:
    """Make one change, counted from 0."""
    tree = ast.parse(source)
    for i, (node, change, lines) in enumerate(_changes(tree, None)):
        if i == number:
            before = ast.unparse(node)
            change()
            after = ast.unparse(node)
            return Mutant(
                node.lineno, lines, _first_line(before), _first_line(after), ast.unparse(tree)
            )
    raise IndexError(number)


def _first_line(text: str) -> str:
    return text.splitlines()[0]


def _changes(node: ast.AST, lines: Lines, in_function: bool = False) -> Iterator[Change]:
    """Yield every place at which a tree can be changed, with a function that changes it."""
    if isinstance(node, _SKIPPED_NODES) or _is_message(node) or _is_compiled(node):
        return
    if isinstance(node, ast.stmt) and in_function:
        lines = node.lineno, _last_line(node)
    if isinstance(node, ast.stmt | ast.expr):
        for change in (*_of_operators(node), *_of_values(node), *_of_calls(node, in_function)):
            yield node, change, lines
    for name, field in ast.iter_fields(node):
        if name not in _SKIPPED_FIELDS:
            inside = in_function or (isinstance(node, ast.FunctionDef) and name == "body")
            for child in field if isinstance(field, list) else [field]:
                if isinstance(child, ast.AST):
                    yield from _changes(child, lines, inside)


def _last_line(statement: ast.stmt) -> int:
    """Return the last line of a statement, without the statements inside it."""
    body = getattr(statement, "body", None)
    if body:
        return max(statement.lineno, body[0].lineno - 1)
    return statement.end_lineno or statement.lineno


def _is_message(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
    return name in _MESSAGES


def _is_compiled(node: ast.AST) -> bool:
    if not isinstance(node, ast.FunctionDef):
        return False
    return any(name in ast.unparse(call) for call in node.decorator_list for name in _COMPILED)


def _of_operators(node: ast.AST) -> Iterator[Callable[[], None]]:
    """Exchange an operator or a comparison, or negate a condition."""
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp | ast.UnaryOp):
        if type(node.op) in _SWAPS:
            yield lambda: setattr(node, "op", _SWAPS[type(node.op)]())
    elif isinstance(node, ast.Compare):
        for i, operation in enumerate(node.ops):
            swapped = _SWAPS[type(operation)]()
            yield lambda i=i, swapped=swapped: node.ops.__setitem__(i, swapped)
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        yield lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), node.test))


def _of_values(node: ast.AST) -> Iterator[Callable[[], None]]:
    """Add one to a constant, or return nothing."""
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        other = not node.value if isinstance(node.value, bool) else node.value + 1
        yield lambda: setattr(node, "value", other)
    elif isinstance(node, ast.Return) and ast.unparse(node) not in ("return", "return None"):
        yield lambda: setattr(node, "value", ast.Constant(None))


def _of_calls(node: ast.AST, in_function: bool) -> Iterator[Callable[[], None]]:
    """Drop a call or an argument's name and value, or exchange the smallest for the largest.

    Arguments of calls at import stay: most are fields without a default.
    """
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        if not _is_message(node.value):
            yield lambda: setattr(node, "value", ast.Constant(None))
    elif isinstance(node, ast.Call):
        for keyword in node.keywords:
            # zip(strict=True) states an invariant; **options have no name.
            if in_function and keyword.arg not in (None, "strict"):
                yield lambda keyword=keyword: node.keywords.remove(keyword)
            if keyword.arg in ("min", "max"):
                other = "max" if keyword.arg == "min" else "min"
                yield lambda keyword=keyword, other=other: setattr(keyword, "arg", other)
        field = "attr" if isinstance(node.func, ast.Attribute) else "id"
        name = getattr(node.func, field, None)
        if name in _EXCHANGED:
            yield lambda: setattr(node.func, field, _EXCHANGED[name])
