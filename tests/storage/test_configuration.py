"""One decoder for JSON and YAML: types checked, errors that name the field."""

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from storage.configuration import decode, from_dict


@dataclass(frozen=True)
class Inner:
    rate: float
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Outer:
    inner: Inner
    sizes: tuple[int, ...] = ()
    limit: int | None = None
    pair: tuple[float, str] = (1.0, "x")
    flag: bool = False
    more: tuple[Inner, ...] = field(default_factory=tuple)


def test_nested_values_become_dataclasses() -> None:
    values = {"inner": {"rate": 2}, "sizes": [1, 2], "limit": None, "pair": [3, "y"], "flag": True}
    expected = Outer(Inner(2.0), (1, 2), None, (3.0, "y"), True)
    assert from_dict(Outer, values) == decode(Outer, values, "outer") == expected
    assert isinstance(expected.inner.rate, float)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "outer: field 'inner' is missing"),
        ([], r"outer is \[\], expected a mapping of its fields"),
        ({"inner": {}}, "outer.inner: field 'rate' is missing"),
        ({"inner": {"rate": 1}, "size": 1}, r"outer: unknown field 'size' \(did you mean 'sizes'"),
        ({"inner": {"rate": "1"}}, "outer.inner.rate is '1', expected float"),
        ({"inner": {"rate": 10**400}}, "outer.inner.rate is inf, expected a finite number"),
        ({"inner": {"rate": 1, "kind": "c"}}, "outer.inner.kind is 'c', expected one of 'a', 'b'"),
        ({"inner": {"rate": 1}, "sizes": [1, True]}, r"outer.sizes\[1\] is True, expected int"),
        ({"inner": {"rate": 1}, "pair": [1]}, "outer.pair has 1 values, expected 2"),
        ({"inner": {"rate": 1}, "flag": 1}, "outer.flag is 1, expected bool"),
        ({"inner": {"rate": 1}, "more": [{}]}, r"outer.more\[0\]: field 'rate' is missing"),
    ],
)
def test_a_wrong_value_is_named(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        decode(Outer, values, "outer")
