"""Plain values, as JSON and YAML give them, checked against types and made dataclasses."""

import dataclasses
import difflib
import math
import reprlib
import typing
from collections.abc import Iterable
from functools import cache
from types import UnionType
from typing import Any, TypeVar

T = TypeVar("T")


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the most similar known name, or an empty string."""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


def decode(kind: type[T], value: object, where: str) -> T:
    """Check a plain value against a type, and build it.

    Args:
        kind: int, float (finite), bool, str, a Literal, a tuple, a dataclass of such, or one of
            these or None.
        value: as `json.loads` gives it.
        where: name of the value, for messages.
    Returns:
        the value as a `kind`.
    Raises:
        ValueError: names the first field that is missing, unknown or of another type; also
            whatever the dataclass itself refuses.

    >>> decode(tuple[int, ...], [1, "2"], "counts")
    Traceback (most recent call last):
    ValueError: counts[1] is '2', expected int
    """
    return typing.cast(T, _convert(kind, value, where))


def from_dict(cls: type[T], values: Any, where: str = "") -> T:
    """Build a dataclass, and those nested in it, from plain JSON or YAML values.

    Args:
        cls: the dataclass.
        values: a mapping of its field names; missing fields keep their defaults.
        where: prefix of field names in messages.
    Raises:
        ValueError: on an unknown field, a value of the wrong type or one the class refuses.
    """
    label = where or cls.__name__
    if not isinstance(values, dict):
        raise ValueError(f"{label} is {_shown(values)}, expected a mapping of its fields")
    hints, required = _fields_of(typing.cast(Any, cls))
    for name in values:
        if name not in hints:
            nearest = nearest_name(str(name)[:80], hints)
            raise ValueError(f"{label}: unknown field {_shown(name)}{nearest}")
    for name in required:
        if name not in values:
            raise ValueError(f"{label}: field {name!r} is missing")
    prefix = f"{where}." if where else ""
    return cls(
        **{name: _convert(hints[name], value, prefix + name) for name, value in values.items()}
    )


@cache  # a manifest holds one utterance for each recording
def _fields_of(cls: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Types of a dataclass's fields by name, and the names of those without a default."""
    hints, missing = typing.get_type_hints(cls), dataclasses.MISSING
    fields = dataclasses.fields(cls)
    required = (f.name for f in fields if f.default is missing and f.default_factory is missing)
    return {field.name: hints[field.name] for field in fields}, tuple(required)


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
    """Represent a value that may be of any size."""
    return reprlib.repr(value)
