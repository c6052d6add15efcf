"""YAML restricted to plain values, of limited depth and length, for recipes."""

from typing import Any

import yaml
from jsonargparse import get_loader, set_loader, set_parsing_settings

MAX_DEPTH = 20
MAX_LENGTH = 100_000  # a recipe with every value has about three thousand characters


class PlainYamlError(yaml.YAMLError):
    """YAML that a recipe does not need; the message names the problem and its place."""


def load_plain(text: str) -> Any:
    """Load plain YAML, and refuse constructs that can expand a few lines to gigabytes.

    Args:
        text: a document, or a single value.
    Returns:
        numbers, strings, None, lists and mappings. In a single line, text that is not quoted is
        kept with a "#", which begins a comment elsewhere: a file may have it in its name.
    Raises:
        yaml.YAMLError: if the text is not YAML, if it is too long or nested too deeply, if a value
            is a Python object, if a key stands twice, or if there is an alias, which
            refers to another part of the text.
    """
    if len(text) > MAX_LENGTH:
        raise PlainYamlError(f"has {len(text)} characters, expected at most {MAX_LENGTH}")
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise PlainYamlError(
                f"line {event.start_mark.line + 1} has the alias *{event.anchor}: write the value "
                "out"
            )
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise PlainYamlError(
                f"line {event.start_mark.line + 1} is nested more than {MAX_DEPTH} deep"
            )
    _check_given_once(yaml.compose(text, Loader=yaml.SafeLoader))
    value = _load(text)
    is_name = "#" in text and "\n" not in text and text.lstrip()[:1] not in ("'", '"')
    return text if is_name and (value is None or isinstance(value, str)) else value


def _check_given_once(node: yaml.Node | None) -> None:
    """Refuse a mapping with a key twice; YAML forbids it, but PyYAML takes the last value."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_given_once(item)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[object, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and key.value in lines:
                raise PlainYamlError(
                    f"line {line} gives {key.value}, which line {lines[key.value]} has given: "
                    "expected once"
                )
            lines[key.value if isinstance(key, yaml.ScalarNode) else id(key)] = line
            _check_given_once(value)


_load = get_loader("yaml")


def use_plain_yaml() -> None:
    """Make the command line load every YAML file and value by `load_plain`.

    No value may name a class or a function, because jsonargparse would import its module.
    """
    set_loader("yaml", load_plain, (yaml.YAMLError,))
    set_parsing_settings(import_path_denylist=["*"])
