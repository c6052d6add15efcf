"""Folders of models, found by path, by the name of a pretrained model, or by a name on a hub."""

import re
from pathlib import Path

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"
MODEL_FILES = (CONFIG_FILE, WEIGHTS_FILE)
"""Files that a model's folder must have. The card is for people, and may be missing."""

SHIPPED = Path(__file__).parents[1] / "pretrained"
"""Folder of the pretrained models, which come with the project's source tree and its wheel."""

# A hub's owner/name: neither part begins with a dot or a hyphen, so no relative path like ../x.
_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")


class ArtefactError(ValueError):
    """A model folder cannot be used; the message names the file and the reason."""


def pretrained_names() -> list[str]:
    """List the names of the pretrained models, which come with the project."""
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{CONFIG_FILE}"))


def model_folder(model: str | Path, revision: str | None = None) -> Path:
    """Find the folder of a model.

    A folder that holds a model has precedence over a pretrained model of its name. The hub is asked
    only for a name owner/name, and only if there is no folder called owner.

    Args:
        model: a folder, the name of a pretrained model, or owner/name on a hub of models.
        revision: branch, tag or commit on the hub.
    Returns:
        the folder. The folder of a model from a hub lies in the cache of `huggingface_hub`.
    Raises:
        ArtefactError: if there is no such model.
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
    """List the files of a model.

    Args:
        model: see `model_folder`.
    Returns:
        paths of configuration and weights, whether they exist or not.
    Raises:
        ArtefactError: see `model_folder`.
    """
    folder = model_folder(model)
    return [folder / name for name in MODEL_FILES]


def _fetch(name: str, revision: str | None) -> Path:
    """Download a model's files from the hub, unless they are in the cache already."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ArtefactError(
            f"{name}: no such folder; to load owner/name from a hub, install huggingface_hub"
        ) from error
    wanted = [*MODEL_FILES, CARD_FILE]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
    # The hub's package raises OSError for connections and files, and ValueError for names.
    except (OSError, ValueError) as error:
        raise ArtefactError(
            f"{name}: no such folder, and the hub does not give it: {first_line(error)}"
        ) from error


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or the error's type if the message is empty."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
