"""Folders of models: where one is found, by its path, its name or its name on a hub."""

import re
from pathlib import Path

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"
MODEL_FILES = (CONFIG_FILE, WEIGHTS_FILE)
"""The files that make a folder a model; the card is for people."""

SHIPPED = Path(__file__).parents[1] / "pretrained"
"""The folder of the trained models that come with the project, in its tree or in its wheel."""

# A hub's owner/name: neither part begins with a dot or a hyphen, so no relative path like ../x.
_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")


class ArtefactError(ValueError):
    """A model folder cannot be used; the message names the file and the reason."""


def pretrained_names() -> list[str]:
    """List the trained models that come with the project."""
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{CONFIG_FILE}"))


def model_folder(model: str | Path, revision: str | None = None) -> Path:
    """Find a model's folder; a folder goes before a name, and a name before a hub.

    Args:
        model: a folder that holds a model; the name of a model that comes with the project; or
            owner/name on a hub of models, which is asked if there is no folder called owner.
        revision: branch, tag or commit on the hub.
    Returns:
        the folder; that of a model from a hub is in the cache of `huggingface_hub`.
    Raises:
        ArtefactError: if there is none.
    """
    folder, name = Path(model), str(model)
    names = pretrained_names()
    if name in names and not any((folder / file).exists() for file in MODEL_FILES):
        return SHIPPED / name
    inside = [
        folder / part for part in ("student", "teacher") if (folder / part / CONFIG_FILE).exists()
    ]
    if inside and not (folder / CONFIG_FILE).exists():
        raise ArtefactError(f"{folder}: holds no {CONFIG_FILE}; did you mean {inside[0]}?")
    if folder.is_file():
        raise ArtefactError(f"{folder}: is a file, expected the folder of a model")
    if folder.exists():
        return folder
    if _HUB_NAME.fullmatch(name) and not folder.parent.exists():
        return _fetch(name, revision)
    raise ArtefactError(
        f"{folder}: no such folder; the pretrained models are {', '.join(names) or 'none'}"
    )


def model_files(model: str | Path) -> list[Path]:
    """List the files of a model, which is given as to `model_folder`."""
    folder = model_folder(model)
    return [folder / name for name in MODEL_FILES]


def _fetch(name: str, revision: str | None) -> Path:
    """Load a model's files from the hub, unless they are in its cache already."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ArtefactError(
            f"{name}: no such folder; to load owner/name from a hub, install huggingface_hub"
        ) from error
    wanted = [*MODEL_FILES, CARD_FILE]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
    # Its errors are of these kinds: of connections, of files and of names.
    except (OSError, ValueError) as error:
        raise ArtefactError(
            f"{name}: no such folder, and the hub does not give it: {first_line(error)}"
        ) from error


def first_line(error: Exception) -> str:
    """Return what an error says in its first line, or its kind if it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
