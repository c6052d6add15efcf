"""Values of the bundled recipes, one YAML file each, and how a recipe is found."""

from importlib import resources
from pathlib import Path

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
        ValueError: if it is neither.
    """
    if name_or_path in recipe_names():
        return Path(str(resources.files("pipelines") / "recipes" / f"{name_or_path}.yaml"))
    path = Path(name_or_path)
    if path.is_file():
        # To the parser of the command line, "mine.yaml" could be an attribute of a module.
        return path.absolute()
    names = recipe_names()
    raise ValueError(
        f"recipe {name_or_path!r} is neither a file nor one of {', '.join(names)}"
        f"{nearest_name(name_or_path, names)}"
    )
