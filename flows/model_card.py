"""The card in a model's folder: a README.md with the metadata that hubs of models read."""

import hashlib
import re
from pathlib import Path
from typing import Any

from storage.atomic import write_file

_MARK = re.compile(r"\n<!-- Written by save_pretrained .* ([0-9a-f]{64}) -->\n\Z")


def model_card(model: type, described: dict[str, Any], num_parameters: int) -> str:
    """Compose a model's card from the content of its `config.json`.

    Args:
        model: the model's class.
        described: the content of `config.json`.
        num_parameters: number of trained parameters.
    Returns:
        Markdown, which begins with the YAML that hubs read.
    """
    metadata = described["metadata"]
    mel = metadata.get("mel")
    of_audio = isinstance(mel, dict)
    kind = described["kind"]
    tags = ["normalizing-flow", *(["vocoder"] if of_audio else [])]
    recipe = metadata.get("recipe")
    facts = {
        "parameters": f"{num_parameters:,}",
        "steps of training": metadata.get("steps"),
        "recipe": recipe.get("name") if isinstance(recipe, dict) else None,
        "commit": metadata.get("commit"),
        **(mel if isinstance(mel, dict) else {}),
    }
    rows = [f"| `{name}` | {value} |" for name, value in facts.items() if value is not None]
    lines = [
        "---",
        "library_name: parallel-wavenet",
        *(["pipeline_tag: text-to-speech"] if of_audio else []),
        "tags:",
        *(f"- {tag}" for tag in tags),
        "---",
        "",
        f"# A {kind} of parallel-wavenet",
        "",
        "## Use",
        "",
        "```python",
        f"from {model.__module__} import {model.__name__}",
        "",
        f'{kind} = {model.__name__}.from_pretrained("FOLDER")  # or owner/name on a hub',
        "```",
        "",
        "## Numbers",
        "",
        "`config.json` has the rest.",
        "",
        "| | |",
        "|---|---|",
        *rows,
        "",
        "## Data and licences",
        "",
        "Not stated. Before you share this model, say here what it was trained on, the licence of",
        "that and of the weights (`license:` above), and where the model fails.",
    ]
    return "\n".join(lines) + "\n"


def write_card(path: Path, model: type, described: dict[str, Any], num_parameters: int) -> None:
    """Write a model's card. A card that somebody else wrote or edited is kept.

    Args:
        path: file of the card.
        model: the model's class.
        described: the content of `config.json`.
        num_parameters: number of trained parameters.
    """
    if path.exists() and not _is_ours(path):
        return
    text = model_card(model, described, num_parameters)
    mark = (
        f"\n<!-- Written by save_pretrained and, until edited, by the next: {_digest(text)} -->\n"
    )
    write_file(path, text + mark)


def _is_ours(path: Path) -> bool:
    """Tell whether `write_card` wrote a card, and nobody has edited it since."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    mark = _MARK.search(text)
    return mark is not None and mark[1] == _digest(text[: mark.start()])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()
