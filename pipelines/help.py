"""Help and messages describe the type of an option in words instead of Python's names."""

import dataclasses
import inspect
import re
import sys
import types
from argparse import Action
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from jsonargparse import ArgumentParser, DefaultHelpFormatter

_NAMES: dict[Any, str] = {
    Path: "path",
    bool: "true or false",
    float: "number",
    int: "whole number",
    str: "text",
}
_SEVERAL = ", one or several"


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
    >>> type_in_words(list[Path] | Path | None)
    'path, one or several'
    """
    origin, options = get_origin(hint), get_args(hint)
    if origin is Literal:
        *names, last = map(str, options)
        return f"{', '.join(names)} or {last}" if names else last
    if origin in (Union, types.UnionType):
        words = [type_in_words(option) for option in options if option is not type(None)]
        # For a list or a single element, the description of the list covers both.
        lists = [word for word in words if word.endswith(_SEVERAL)]
        return " or ".join(lists or words)
    if origin is list:
        return f"{type_in_words(options[0])}{_SEVERAL}"
    if origin is tuple:
        return f"list of {type_in_words(options[0])}s"
    return _NAMES.get(hint, "group of values")


def mistake_in_words(text: str, command: Callable[..., None]) -> str:
    """Rewrite the parser's message about an option's value without the names of Python's types.

    Args:
        text: the message, in one line.
        command: the function of the command, whose parameters are the options.
    Returns:
        a message with the option, the value that was found and the values that are expected; other
        messages are returned unchanged.
    """
    missing = re.fullmatch(r"the following arguments are required: (.*)", text)
    if missing:
        names = [name.rpartition(".")[2] for name in missing[1].split(", ")]
        return f"missing: {', '.join(f'--{name}' for name in names)}"
    unloaded = re.match(r'Parser key "([^"]+)": Unable to load config \'([^\']*)\'( - )?', text)
    if unloaded:
        within = text[unloaded.end() :]  # what the parser refuses in a file that it has read
        if "value:" in within:
            said = mistake_in_words(within, command).removeprefix(f"--{unloaded[1]}.")
            return f"{unloaded[2]}: {said}"
        name = f"--{unloaded[1]}"
        return f"{name} is {unloaded[2]}, expected a group of values: {name}.KEY VALUE"
    refused = re.match(r'Parser key "([^"]+)": .*(?:Got|Given) value: (.*)', text)
    hint = refused and _hint_of(refused[1].split("."), command)
    if not refused or hint is None:
        return text
    words = type_in_words(hint)
    article = "a " if words.startswith(("list", "number", "path", "whole", "group")) else ""
    return f"--{refused[1]} is {refused[2]}, expected {article}{words}"


def _hint_of(names: list[str], command: Callable[..., None]) -> Any:
    """Find the type of an option, or of a field of a recipe; None for an unknown one."""
    parameter = inspect.signature(command, eval_str=True).parameters.get(names[0])
    hint: Any = None if parameter is None else parameter.annotation
    for name in names[1:]:
        if not dataclasses.is_dataclass(hint):
            return None
        hint = get_type_hints(hint).get(name)
    return hint


class PlainHelp(DefaultHelpFormatter):
    """A help formatter with types in words, and without defaults that are decided at run time."""

    def _get_type_str(self, action: Action) -> str | None:
        hint = getattr(action, "_typehint", None) or action.type
        return None if hint is None else type_in_words(hint)

    def _expand_help(self, action: Action) -> str:
        return super()._expand_help(action).replace(", default: null)", ")")


class PrintingParser(ArgumentParser):
    """A parser that reports help that cannot be printed; argparse would ignore a full disk."""

    def print_help(self, file: Any = None) -> None:
        """Print the help, by default to standard output."""
        print(self.format_help(), end="", file=file or sys.stdout, flush=True)
