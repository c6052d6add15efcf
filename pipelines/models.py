"""The trained models that come with the project, by name."""

from pathlib import Path

from flows import ArtefactError

FOLDER = Path(__file__).parents[1] / "pretrained"


def pretrained_names() -> list[str]:
    """List the pretrained models."""
    return sorted(path.parent.name for path in FOLDER.glob("*/config.json"))


def model_folder(model: Path) -> Path:
    """Find a model's folder.

    Args:
        model: a folder, or the name of a pretrained model; a folder of that name goes first.
    Returns:
        the folder.
    Raises:
        ArtefactError: if there is neither.
    """
    if model.exists():
        return model
    names = pretrained_names()
    if str(model) in names:
        return FOLDER / model
    raise ArtefactError(
        f"{model}: no such folder; the pretrained models are {', '.join(names) or 'none'}"
    )
