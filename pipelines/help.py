"""The help of `--help`: types are described in words instead of Python's names."""

import types
from argparse import Action
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from jsonargparse import DefaultHelpFormatter

_NAMES: dict[Any, str] = {
    Path: "path",
    bool: "true or false",
    float: "number",
    int: "whole number",
    str: "text",
}


def type_in_words(hint: Any) -> str:
    """Describe a type's values in words.

    Args:
        hint: the annotation of a command's parameter or of a recipe's field.

    >>> type_in_words(float | None)
    'number'
    >>> type_in_words(tuple[int, ...])
    'list of whole numbers'
    >>> type_in_words(Literal["wav", "flac"])
    'wav or flac'
    """
    origin, options = get_origin(hint), get_args(hint)
    if origin is Literal:
        *names, last = map(str, options)
        return f"{', '.join(names)} or {last}" if names else last
    if origin in (Union, types.UnionType):
        return " or ".join(type_in_words(option) for option in options if option is not type(None))
    if origin in (list, tuple):
        return f"list of {type_in_words(options[0])}s"
    return _NAMES.get(hint, "group of values")


class PlainHelp(DefaultHelpFormatter):
    """A help formatter with types in words, and without defaults that are decided at run time."""

    def _get_type_str(self, action: Action) -> str | None:
        hint = getattr(action, "_typehint", None) or action.type
        return None if hint is None else type_in_words(hint)

    def _expand_help(self, action: Action) -> str:
        return super()._expand_help(action).replace(", default: null)", ")")
