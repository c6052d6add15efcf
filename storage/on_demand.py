"""Packages that import a public name when it is first used: PEP 562."""

import ast
import importlib
import inspect
import sys
from collections.abc import Callable
from typing import Any


def on_demand(package: str) -> Callable[[str], Any]:
    """Make the `__getattr__` of a package whose exports are imported under `TYPE_CHECKING`.

    Type checkers and editors read those imports; Python runs each one when its name is first asked
    for. So `import flows` takes no time, and who needs `flows.Flow` alone loads what `Flow` needs.

    Args:
        package: `__name__` of the package.
    Returns:
        a function from an exported name to its value, which it leaves in the package.
    """
    module = sys.modules[package]
    origins: dict[str, str] = {}

    def load(name: str) -> Any:
        if not origins and not name.startswith("__"):
            origins.update(exports(inspect.getsource(module)))
        if name not in origins:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(origins[name]), name)
        setattr(module, name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(module), *module.__all__})

    setattr(module, "__dir__", names)  # noqa: B010 - mypy takes modules for what they are
    return load


def exports(source: str) -> dict[str, str]:
    """Map each name that a module imports under `if TYPE_CHECKING:` to where it comes from.

    >>> exports("if TYPE_CHECKING:\\n    from student.model import Student")
    {'Student': 'student.model'}
    """
    return {
        alias.name: statement.module
        for block in ast.parse(source).body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for statement in block.body
        if isinstance(statement, ast.ImportFrom) and statement.module
        for alias in statement.names
    }
