"""The bundled recipes, one YAML file each, and the search for a recipe."""

from dataclasses import is_dataclass
from importlib import resources
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import yaml

from pipelines.plain_yaml import load_plain
from storage.configuration import nearest_name


def recipe_names() -> list[str]:
    """List the names of the bundled recipes."""
    folder = resources.files("pipelines") / "recipes"
    return sorted(
        p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml")
    )


def find_recipe(name_or_path: str) -> Path:
    """Find a recipe by the name of a bundled recipe or by the path of a YAML file.

    Raises:
        ValueError: if there is no such recipe or file, or if the file is not plain YAML in UTF-8.
    """
    if name_or_path in recipe_names():
        return Path(str(resources.files("pipelines") / "recipes" / f"{name_or_path}.yaml"))
    path = Path(name_or_path)
    if path.is_file():
        _check_yaml(path)
        # The parser of the command line would take "mine.yaml" for an attribute of a module.
        return path.absolute()
    names = recipe_names()
    raise ValueError(
        f"recipe {name_or_path!r} is neither a file nor one of {', '.join(names)}"
        f"{nearest_name(name_or_path, names)}"
    )


def _check_yaml(path: Path) -> None:
    """Refuse a broken file with its name, which the command line's parser would not mention."""
    try:
        values = load_plain(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"recipe {path}: is not in UTF-8 ({error.reason} at byte {error.start})"
        ) from error
    except yaml.YAMLError as error:
        raise ValueError(f"recipe {path}: {error}") from error
    if values is None:
        raise ValueError(f"recipe {path}: is empty, expected values, such as name: mine")
    from pipelines.recipe import Recipe  # loads PyTorch

    _check_groups(path, values, Recipe)


def _check_groups(path: Path, values: Any, group: type, where: str = "") -> None:
    """Refuse a group of values that is empty or a single value, on which the parser would fail."""
    if not isinstance(values, dict):
        return
    for name, hint in get_type_hints(group).items():
        if name in values and values[name] is None and NoneType not in get_args(hint):
            raise ValueError(f"recipe {path}: {where}{name} is null, expected a value")
        if isinstance(hint, type) and is_dataclass(hint) and name in values:
            found = values[name]
            # A text may name another YAML file, which the parser reads.
            if not isinstance(found, dict | str):
                raise ValueError(
                    f"recipe {path}: {where}{name} is {found!r}, expected a group of values"
                )
            _check_groups(path, found, hint, f"{where}{name}.")
