"""The pretrained models that come with the project, found by name."""

from pathlib import Path

from flows import ArtefactError
from flows.pretrained import CONFIG_FILE, WEIGHTS_FILE

MODEL_FILES = (CONFIG_FILE, WEIGHTS_FILE)
FOLDER = Path(__file__).parents[1] / "pretrained"


def pretrained_names() -> list[str]:
    """List the names of the pretrained models."""
    return sorted(path.parent.name for path in FOLDER.glob("*/config.json"))


def model_folder(model: Path) -> Path:
    """Find a model's folder.

    Args:
        model: a folder that holds a model, or the name of a pretrained model. If a folder of that
            name holds a model, the folder is meant.
    Returns:
        the folder.
    Raises:
        ArtefactError: if there is no such folder and no such pretrained model.
    """
    names = pretrained_names()
    if str(model) in names and not any((model / name).exists() for name in MODEL_FILES):
        return FOLDER / model
    inside = [
        model / name for name in ("student", "teacher") if (model / name / CONFIG_FILE).exists()
    ]
    if inside and not (model / CONFIG_FILE).exists():
        raise ArtefactError(f"{model}: holds no {CONFIG_FILE}; did you mean {inside[0]}?")
    if model.is_file():
        raise ArtefactError(f"{model}: is a file, expected the folder of a model")
    if model.exists():
        return model
    raise ArtefactError(
        f"{model}: no such folder; the pretrained models are {', '.join(names) or 'none'}"
    )


def model_files(model: Path) -> list[Path]:
    """List the files of a model, which is given as in `model_folder`."""
    return [model_folder(model) / name for name in MODEL_FILES]
