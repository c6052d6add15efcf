"""Damaged and forged files, drawn by Hypothesis from whole ones."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

# Lengths, counts and offsets that often cause errors.
_NUMBERS = (0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1)

_OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(("flip", "byte", "number", "cut", "insert", "remove", "repeat", "zero")),
        st.integers(0, 2**16 - 1),  # position, as a share of the length
        st.integers(0, 2**16 - 1),  # value or amount
    ),
    max_size=6,
)
# Half of the operations affect the beginning, because headers cause most errors.
_HEAD = 128


def damaged(wholes: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Draw a whole file and damage it: flipped bits, cuts, repeats, and impossible numbers."""
    return st.builds(_damage, st.sampled_from(wholes), _OPERATIONS) | st.binary(max_size=200)


def _damage(whole: bytes, operations: list[tuple[str, int, int]]) -> bytes:
    content = bytearray(whole)
    for operation, where, what in operations:
        span = min(len(content), _HEAD) if where % 2 else len(content)
        position = where * span // 2**16
        length = 1 + what % 64
        if operation == "flip" and content:
            content[position] ^= 1 << (what % 8)
        elif operation == "byte" and content:
            content[position] = what % 256
        elif operation == "number":
            width = (1, 2, 4, 8)[what % 4]
            value = _NUMBERS[what // 4 % len(_NUMBERS)] % 2 ** (8 * width)
            order = "little" if what % 3 else "big"
            content[position : position + width] = value.to_bytes(width, order)  # type: ignore[arg-type]
        elif operation == "cut":
            del content[position:]
        elif operation == "insert":
            content[position:position] = bytes((what + i) % 256 for i in range(length))
        elif operation == "remove":
            del content[position : position + length]
        elif operation == "repeat":
            content[position:position] = content[position : position + length] * (1 + what % 50)
        elif operation == "zero":
            content[position : position + length] = bytes(length)
    return bytes(content)


_DEEP: Any = 1
for _ in range(500):
    _DEEP = [_DEEP]
_ODD_VALUES: tuple[Any, ...] = (
    *(None, True, "", "x", [], {}, [[]], [None], {"": {}}),
    *(0, -1, 1, 3, 10**4, 10**9, 10**18, 2**63, 10**30, -(10**30)),
    *(0.5, -0.5, 1e-300, 1e300, float("nan"), float("inf"), -float("inf")),
    *("../../etc/passwd", "/etc/passwd", "a/../b", "a\0b", "\ud800", "é" * 300, "%s{0}\n"),
    *({"class_path": "os.system", "init_args": {"command": "false"}}, "!!python/object:os.system"),
    *([1] * 50, ["a"] * 3, _DEEP),
)
_EDITS = st.lists(
    st.tuples(
        st.sampled_from(("replace", "delete", "add", "rename")),
        st.integers(0, 2**16 - 1),
        st.sampled_from(_ODD_VALUES),
    ),
    min_size=1,
    max_size=3,
)


def forged(wholes: Sequence[Any]) -> st.SearchStrategy[Any]:
    """Draw a tree of JSON values and change some: odd numbers, paths, types, names, depth."""
    return st.builds(_forge, st.sampled_from(wholes), _EDITS)


def _forge(whole: Any, edits: list[tuple[str, int, Any]]) -> Any:
    tree = [json.loads(json.dumps(whole))]
    for edit, where, odd in edits:
        # A copy, because a later edit could put a tree into itself, without end.
        value = odd if odd is _DEEP else copy.deepcopy(odd)
        places = list(_places(tree))
        parent, key = places[where % len(places)]
        if edit == "replace":
            parent[key] = value
        elif isinstance(parent, dict):
            old = parent.pop(key) if edit in ("delete", "rename") else None
            if edit != "delete":
                parent[f"{key}x"] = value if edit == "add" else old
        elif parent is not tree:
            old = parent.pop(key) if edit in ("delete", "rename") else None
            parent.append(value if edit == "add" else old)
    return tree[0]


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """List every value of a tree, as its container and its key."""
    found: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting:
        container = waiting.pop()
        keys = container.keys() if isinstance(container, dict) else range(len(container))
        for key in keys:
            found.append((container, key))
            if isinstance(container[key], dict | list) and container[key] is not _DEEP:
                waiting.append(container[key])
    return found


def as_text(values: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """Write trees as JSON, which is YAML, too."""
    encode: Callable[[Any], bytes] = lambda tree: json.dumps(tree).encode()  # noqa: E731
    return values.map(encode)
