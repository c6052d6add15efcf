"""Values of the bundled recipes, one YAML file each, and how a recipe is found."""

from importlib import resources
from pathlib import Path

import yaml

from pipelines.plain_yaml import load_plain
from storage.configuration import nearest_name


def recipe_names() -> list[str]:
    """List the recipes that come with the package."""
    folder = resources.files("pipelines") / "recipes"
    return sorted(
        p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml")
    )


def find_recipe(name_or_path: str) -> Path:
    """Resolve the name of a bundled recipe, or the path of a YAML file.

    Raises:
        ValueError: if it is neither, or a file that is not plain YAML in UTF-8.
    """
    if name_or_path in recipe_names():
        return Path(str(resources.files("pipelines") / "recipes" / f"{name_or_path}.yaml"))
    path = Path(name_or_path)
    if path.is_file():
        _check_yaml(path)
        # To the parser of the command line, "mine.yaml" could be an attribute of a module.
        return path.absolute()
    names = recipe_names()
    raise ValueError(
        f"recipe {name_or_path!r} is neither a file nor one of {', '.join(names)}"
        f"{nearest_name(name_or_path, names)}"
    )


def _check_yaml(path: Path) -> None:
    """Refuse by its name a file that the parser of the command line would refuse without."""
    try:
        load_plain(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"recipe {path}: is not in UTF-8 ({error.reason} at byte {error.start})"
        ) from error
    except yaml.YAMLError as error:
        raise ValueError(f"recipe {path}: {error}") from error
