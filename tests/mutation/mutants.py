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
# Messages, types and the program's own invariants are not behaviour to test.
_SKIPPED_NODES = (ast.Raise, ast.Assert, ast.Import, ast.ImportFrom, ast.JoinedStr)
_SKIPPED_FIELDS = ("annotation", "returns", "decorator_list")


@dataclass(frozen=True)
class Mutant:
    """One change: its place, the line before and after, and the changed source."""

    line: int
    before: str
    after: str
    source: str


def count(source: str) -> int:
    """Count the changes that can be made."""
    return sum(1 for _ in _changes(ast.parse(source)))


def mutate(source: str, number: int) -> Mutant:
    """Make one change, counted from 0."""
    tree = ast.parse(source)
    for i, (node, change) in enumerate(_changes(tree)):
        if i == number:
            before = ast.unparse(node)
            change()
            after = ast.unparse(node)
            return Mutant(node.lineno, _first_line(before), _first_line(after), ast.unparse(tree))
    raise IndexError(number)


def _first_line(text: str) -> str:
    return text.splitlines()[0]


def _changes(node: ast.AST) -> Iterator[tuple[ast.stmt | ast.expr, Callable[[], None]]]:
    """Yield every place at which a tree can be changed, with a function that changes it."""
    if isinstance(node, _SKIPPED_NODES):
        return
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp | ast.UnaryOp):
        if type(node.op) in _SWAPS:
            yield node, lambda: setattr(node, "op", _SWAPS[type(node.op)]())
    elif isinstance(node, ast.Compare):
        for i, operation in enumerate(node.ops):
            swapped = _SWAPS[type(operation)]()
            yield node, lambda i=i, swapped=swapped: node.ops.__setitem__(i, swapped)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        other = not node.value if isinstance(node.value, bool) else node.value + 1
        yield node, lambda: setattr(node, "value", other)
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        yield node, lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield node, lambda: setattr(node, "value", ast.Constant(None))
    for name, field in ast.iter_fields(node):
        if name not in _SKIPPED_FIELDS:
            for child in field if isinstance(field, list) else [field]:
                if isinstance(child, ast.AST):
                    yield from _changes(child)
