"""Lazy packages, which import a public name when the name is first used (PEP 562)."""

import ast
import importlib
import inspect
import sys
from collections.abc import Callable
from typing import Any


def on_demand(package: str) -> Callable[[str], Any]:
    """Make the `__getattr__` of a package whose exports are imported under `TYPE_CHECKING`.

    Type checkers and editors read these imports. At run time, a name is imported when it is first
    used. So `import flows` takes no time, and `flows.Flow` imports only the modules that `Flow`
    needs. The package also gets a `__dir__` that lists its exports.

    Args:
        package: `__name__` of the package.
    Returns:
        a function that imports an exported name, stores the value in the package and returns it.
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

    setattr(module, "__dir__", names)  # noqa: B010 - mypy refuses assignments to a module's methods
    return load


def exports(source: str) -> dict[str, str]:
    """Map each NAME in `from MODULE import NAME`, under `if TYPE_CHECKING:`, to MODULE.

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
