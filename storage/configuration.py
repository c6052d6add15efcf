"""Conversion of plain values to frozen dataclasses, with errors that name the field."""

import dataclasses
import difflib
import math
import reprlib
import typing
from collections.abc import Iterable
from types import UnionType
from typing import Any, TypeVar

T = TypeVar("T")


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the most similar known name, or an empty string."""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


def from_dict(cls: type[T], values: Any, where: str = "") -> T:
    """Build a dataclass, and the dataclasses nested in it, from plain JSON or YAML values.

    Args:
        cls: the dataclass.
        values: a mapping of its field names; missing fields keep their defaults.
        where: prefix of field names in messages.
    Raises:
        ValueError: on an unknown field, a value of the wrong type or one the class refuses.
    """
    assert dataclasses.is_dataclass(cls)
    label = where or cls.__name__
    if not isinstance(values, dict):
        raise ValueError(f"{label} is {_shown(values)}, expected a mapping of its fields")
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        if name not in names:
            raise ValueError(
                f"{label}: unknown field {_shown(name)}{nearest_name(str(name)[:80], names)}"
            )
        arguments[name] = _convert(hints[name], value, f"{where}.{name}" if where else name)
    for field in dataclasses.fields(cls):
        no_default = field.default is dataclasses.MISSING
        if (
            field.name not in arguments
            and no_default
            and field.default_factory is dataclasses.MISSING
        ):
            raise ValueError(f"{label}: field {field.name!r} is missing")
    return cls(**arguments)


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        return from_dict(hint, value, where)
    if origin is typing.Literal:
        if value not in options:
            raise ValueError(
                f"{where} is {_shown(value)}, expected one of {', '.join(map(repr, options))}"
            )
        return value
    if origin in (typing.Union, UnionType):
        if value is None and type(None) in options:
            return None
        (hint,) = (option for option in options if option is not type(None))
        return _convert(hint, value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{where} is {_shown(value)}, expected a list")
        hints = [options[0]] * len(value) if options[-1] is Ellipsis else list(options)
        if len(hints) != len(value):
            raise ValueError(f"{where} has {len(value)} values, expected {len(hints)}")
        return tuple(
            _convert(h, v, f"{where}[{i}]")
            for i, (h, v) in enumerate(zip(hints, value, strict=True))
        )
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 2**63 else math.inf
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise ValueError(f"{where} is {_shown(value)}, expected {hint.__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value!r}, expected a finite number")
    return value


def _shown(value: Any) -> str:
    """Return a value's representation, shortened if the value is large."""
    return reprlib.repr(value)
