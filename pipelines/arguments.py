"""The command line's words, prepared for the parser: recipes, flags, paths, lists of values."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from pipelines.recipes import find_recipe

DEFAULT_RECIPE = "allison"

Words = list[str]


def prepare_words(
    words: Sequence[str], command: Callable[..., None], *, with_recipe: bool, with_places: bool
) -> tuple[Words, dict[str, list[Path]]]:
    """Make the words after a command's name ready for the parser.

    Args:
        words: what was typed after the command's name.
        command: the command's function.
        with_recipe: whether the command takes a recipe.
        with_places: whether the command takes values by their place, which may follow any option.
    Returns:
        words for the parser; and the paths given to options that take several paths, by option. The
        parser gets an empty list for such an option, because it would read the names as YAML.
    Raises:
        ValueError: if a path is empty, if a recipe is unknown, or if the space after an option is
            not a plain one.
    """
    for word in words:
        if re.match(r"--\w+\N{NO-BREAK SPACE}", word):
            raise ValueError(
                f"{word!r} has a no-break space after the option's name, as pasted from a page: "
                "expected a plain one"
            )
    parameters = inspect.signature(command, eval_str=True).parameters.values()
    hints = {f"--{p.name}": p.annotation for p in parameters}
    paths = {name for name, hint in hints.items() if _is_of(hint, Path)}
    flags = {name for name, hint in hints.items() if hint is bool}
    several = set() if with_places else {n for n, hint in hints.items() if _is_of(hint, list)}
    ready, taken = _with_several(_with_paths(list(words), paths), several, paths)
    ready = _with_flags(ready, flags)
    return (_with_recipe(ready) if with_recipe else ready), taken


def _is_of(hint: Any, kind: type) -> bool:
    """Tell whether a type is `kind`, or one of its parts is."""
    return kind in (hint, get_origin(hint)) or any(_is_of(part, kind) for part in get_args(hint))


def _with_paths(words: Words, names: set[str]) -> Words:
    """Refuse empty paths, which would mean the current folder; expand `--NAME=~/...`.

    Shells expand ~ only at the beginning of a word.
    """
    resolved = []
    for word, after in _with_following(words):
        name, equals, value = word.partition("=")
        if name in names and not (value if equals else after):
            raise ValueError(f"{name} is empty, expected a path")
        is_home = name in names and value.startswith("~/")
        resolved.append(f"{name}={Path(value).expanduser()}" if is_home else word)
    return resolved


def _with_several(
    words: Words, names: set[str], paths: set[str]
) -> tuple[Words, dict[str, list[Path]]]:
    """Join the words after an option that takes several values, such as a shell's *.wav, to a list.

    A single value in brackets, [A,B], is a list already.
    """
    kept: Words = []
    given: dict[str, list[str]] = {}
    i = 0
    while i < len(words):
        name, equals, value = words[i].partition("=")
        i += 1
        if name not in names:
            kept.append(words[i - 1])
            continue
        values = [value] if equals else []
        while i < len(words) and not words[i].startswith("--"):
            values.append(words[i])
            i += 1
        given.setdefault(name, []).extend(values)
    taken = {}
    for name, values in given.items():
        is_list = len(values) == 1 and values[0][:1] + values[0][-1:] == "[]"
        if name in paths and not (is_list and not Path(values[0]).exists()):
            if "" in values:
                raise ValueError(f"{name} is empty, expected a path")
            taken[name.removeprefix("--")] = [Path(value) for value in values]
            kept.append(f"{name}=[]")
        elif len(values) == 1:
            kept.append(f"{name}={values[0]}")
        else:
            kept.append(f"{name}=[{','.join(values)}]" if values else name)
    return kept, taken


def _with_flags(words: Words, flags: set[str]) -> Words:
    """Add the value true to a boolean option without a value, `--flag`."""
    return [
        f"{word}=true" if word in flags and after not in ("true", "false") else word
        for word, after in _with_following(words)
    ]


def _with_following(words: Words) -> zip[tuple[str, str]]:
    """Pair each word with the next, the last with an empty one."""
    return zip(words, [*words[1:], *([""] if words else [])], strict=True)


def _with_recipe(words: Words) -> Words:
    """Replace each --recipe by its file's path; without any, add the default, except for --help."""
    resolved, named = [], False
    for i, word in enumerate(words):
        if i > 0 and words[i - 1] == "--recipe":
            resolved.append(str(find_recipe(word)))
            named = True
        elif word.startswith("--recipe="):
            resolved.append(f"--recipe={find_recipe(word.removeprefix('--recipe='))}")
            named = True
        else:
            resolved.append(word)
    if not named and "--help" not in words:
        resolved[:0] = ["--recipe", str(find_recipe(DEFAULT_RECIPE))]
    return resolved
