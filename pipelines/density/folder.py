"""The folder of a density's model, which must never replace another table's model."""

import hashlib
from pathlib import Path
from typing import Any

from data.tables import TOY_PREFIX
from flows.model_folder import CONFIG_FILE, WEIGHTS_FILE, ArtefactError
from flows.pretrained import read_description
from pipelines.density.model import DensityModel
from pipelines.training.checkpoints import FOLDER as CHECKPOINTS

ROOT = Path("exp/density")
RESULT_FILE = "result.json"
METRICS_FILE = "metrics.jsonl"
PICTURE_FILE = "density.png"


def table_origin(table: str, key: str | None) -> dict[str, str]:
    """Return JSON values that identify a table; they are stored with a model.

    Args:
        table: the argument of the command `density`.
        key: the argument of the command `density`.
    Returns:
        `key`, and as `path_sha256` the digest of the table's absolute path or of the toy's name.
    """
    path = table if table.startswith(TOY_PREFIX) else str(Path(table).resolve())
    digest = hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest()
    return {"key": key or "", "path_sha256": digest}


def default_folder(table: str, key: str | None, family: str) -> Path:
    """Name a folder after table and family, with a digest if another table has that folder."""
    words = [Path(table.replace(":", "-")).stem, *([key.replace("/", "-")] if key else []), family]
    folder = ROOT / "-".join(words)
    try:
        check_folder(folder, table, key)
    except ArtefactError:
        return ROOT / "-".join([*words, table_origin(table, key)["path_sha256"][:8]])
    return folder


def check_folder(folder: Path, table: str, key: str | None) -> None:
    """Refuse a folder that holds anything but a density of this table.

    Args:
        folder: the folder of the new density.
        table: the argument of the command `density`.
        key: the argument of the command `density`.
    Raises:
        ArtefactError: if the folder holds a model of another kind, a training run, an unreadable
            model, the model of another table, or, without a model, a file that would be written.
    """
    other = "choose another --out"
    if (folder / CHECKPOINTS).exists():
        raise ArtefactError(f"{folder}: holds {CHECKPOINTS} of a training run: {other}")
    if not (folder / CONFIG_FILE).exists():
        for name in (WEIGHTS_FILE, RESULT_FILE, METRICS_FILE, PICTURE_FILE):
            if (folder / name).exists():
                raise ArtefactError(f"{folder}: holds {name}, but no density: {other}")
        return
    described = read_description(folder)
    if described["kind"] != DensityModel.kind:
        raise ArtefactError(f"{folder}: holds a {described['kind']}: {other}")
    found: Any = described["metadata"].get("table")
    origin = table_origin(table, key)
    is_same = isinstance(found, dict) and (
        all(found.get(name) == value for name, value in origin.items())
        if "path_sha256" in found
        else found.get("source") == table  # models of earlier versions
    )
    if not is_same:
        source = found.get("source") if isinstance(found, dict) else "another table"
        raise ArtefactError(f"{folder}: holds a density of {source}: {other}")
