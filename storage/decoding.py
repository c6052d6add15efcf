"""Decoding of JSON values into annotated dataclasses, with every type checked."""

from __future__ import annotations

import math
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def decode(kind: type[T], value: object, where: str) -> T:
    """Check a value read from JSON against a type, and build a value of the type.

    Args:
        kind: int, float (finite), str, a Literal, `tuple[X, ...]`, or a dataclass of such fields.
        value: the value as `json.loads` returns it.
        where: name of the value, for messages.
    Returns:
        The value as a `kind`.
    Raises:
        ValueError: names the first field that is missing, unknown or of another type. The
            dataclass may refuse further values.

    >>> decode(tuple[int, ...], [1, "2"], "counts")
    Traceback (most recent call last):
    ValueError: counts[1] is '2', expected int
    """
    return cast(T, _decode(kind, value, where))


def _decode(kind: Any, value: object, where: str) -> Any:
    if is_dataclass(kind):
        return _decode_dataclass(kind, value, where)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise _unexpected(where, value, "a list")
        item_kind = get_args(kind)[0]
        return tuple(_decode(item_kind, item, f"{where}[{i}]") for i, item in enumerate(value))
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise _unexpected(where, value, f"one of {', '.join(map(repr, get_args(kind)))}")
        return value
    accepted = (int, float) if kind is float else kind
    # In Python True is an int; in JSON true is not a number.
    if not isinstance(value, accepted) or isinstance(value, bool):
        raise _unexpected(where, value, kind.__name__)
    if isinstance(value, float) and not math.isfinite(value):
        raise _unexpected(where, value, "a finite number")
    return kind(value)


def _decode_dataclass(kind: Any, value: object, where: str) -> Any:
    if not isinstance(value, dict):
        raise _unexpected(where, value, "an object")
    hints, required = _fields_of(kind)
    for name in value:
        if name not in hints:
            raise ValueError(f"{where}.{name} is unknown, expected one of {', '.join(hints)}")
    missing = [name for name in required if name not in value]
    if missing:
        raise ValueError(f"{where}.{missing[0]} is missing")
    return kind(
        **{name: _decode(hints[name], item, f"{where}.{name}") for name, item in value.items()}
    )


@cache  # a manifest has one object for each recording: the fields are looked up once
def _fields_of(kind: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Types of a dataclass's fields by name, and the names of those without a default."""
    return get_type_hints(kind), tuple(f.name for f in fields(kind) if f.default is MISSING)


def _unexpected(where: str, value: object, expected: str) -> ValueError:
    shown = repr(value)
    return ValueError(f"{where} is {shown[:60]}{'…' * (len(shown) > 60)}, expected {expected}")
