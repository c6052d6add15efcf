"""The command `ablate`: compares objectives of distillation."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from distill import DistillationConfig
from flows.model_folder import CONFIG_FILE
from flows.pretrained import read_description
from pipelines.commands import train as commands
from pipelines.recipe import Recipe
from pipelines.training.log import METRICS_FILE
from pipelines.training.state import differences
from pipelines.workspace import pick_device
from storage.atomic import write_file
from storage.configuration import nearest_name
from student import Student

DEFAULT_WEIGHTS = {
    "kl": 0.5,
    "spectral": 1.0,
    "power": 1.0,
    "stft_power": 1.0,
    "mel": 1.0,
    "perceptual": 1.0,
    "contrastive": 0.5,
    "forward_kl": 0.5,
}
"""Terms by name, with the weight of each term that the recipe gives no weight."""

COLUMNS = {
    "kl": "KL, nats",
    "stft": "STFT",
    "power": "power",
    "stft_power": "STFT power",
    "mel": "mel",
    "perceptual": "perceptual",
    "contrastive": "contrastive",
    "forward_kl": "forward KL",
    "log_mel_distance": "log-mel",
    "following_ratio": "ratio",
    "std_ratio": "level",
    "minutes": "minutes",
}
UNTRAINED = "untrained"


def ablate(
    recipe: Recipe,
    objectives: str = "kl,spectral,kl+spectral,kl+spectral+perceptual+contrastive",
    max_steps: int = 300,
    dump: Path | None = None,
    teacher: Path | None = None,
    out: Path | None = None,
    device: str = "auto",
) -> None:
    """Distil one student for each objective, with equal budgets, and tabulate the results.

    Args:
        recipe: bundled name or YAML file; single values as --recipe.KEY VALUE. It gives the sizes,
            the seed and the weights of the terms.
        objectives: objectives separated by commas; an objective is terms joined by "+": kl,
            spectral, power, stft_power, mel, perceptual, contrastive, forward_kl.
        max_steps: number of training steps of each student.
        dump: prepared data; default: dump/NAME.
        teacher: folder of the trained teacher; default: exp/NAME/teacher.
        out: gets a folder for each objective, ablation.json and ablation.md; default:
            exp/NAME/ablation. Students that are finished there are kept.
        device: "auto", "cpu" or "cuda".
    """
    configs = parse_objectives(objectives, recipe.distillation)
    dump = dump or Path("dump") / recipe.name
    teacher = teacher or Path("exp") / recipe.name / "teacher"
    out = out or Path("exp") / recipe.name / "ablation"
    training = dataclasses.replace(
        recipe.student_training, max_steps=max_steps, validate_every=max_steps
    )
    recipe = dataclasses.replace(recipe, student_training=training)
    judge = dataclasses.replace(
        recipe, distillation=judging_config(recipe.distillation, list(configs.values()))
    )
    place = pick_device(device)
    task = commands.student_task(judge, dump, teacher, place)
    rows: list[dict[str, Any]] = [
        {"objective": UNTRAINED, **_measured(task.validate(task.model.eval()).scalars)}
    ]
    for name, config in configs.items():
        folder, own = out / name, dataclasses.replace(recipe, distillation=config)
        _check_budget(folder / "student", own)
        commands.distill(
            own,
            dump,
            teacher,
            exp=folder,
            device=device,
        )
        student = Student.from_pretrained(folder / "student", place)
        rows.append(
            {
                "objective": name,
                "weights": _weights(config),
                **_measured(task.validate(student).scalars),
                "minutes": _seconds(folder / "student") / 60,
            }
        )
    result = {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "max_steps": max_steps,
        "held_out_utterances": len(task.held_out),
        "rows": rows,
    }
    table = ablation_table(result)
    write_file(out / "ablation.json", json.dumps(result, indent=2) + "\n")
    write_file(out / "ablation.md", f"{table}\n")
    print(table)


def parse_objectives(text: str, base: DistillationConfig) -> dict[str, DistillationConfig]:
    """Read a list of objectives.

    Args:
        text: objectives, such as "kl,kl+spectral".
        base: weights of the terms; a named term without a weight gets its weight in
            `DEFAULT_WEIGHTS`.
    Returns:
        a configuration for each objective, by name and in order; terms that an objective does not
        name have weight 0.
    Raises:
        ValueError: if a term is unknown, if an objective names a term twice, or if there are none.

    >>> parse_objectives("kl,spectral+power", DistillationConfig())["spectral+power"].kl_weight
    0.0
    """
    configs = {}
    for objective in text.split(","):
        terms = [term.strip() for term in objective.split("+")]
        for term in terms:
            if term not in DEFAULT_WEIGHTS:
                raise ValueError(
                    f"objectives: unknown term {term!r}{nearest_name(term, DEFAULT_WEIGHTS)}, "
                    f"expected {', '.join(DEFAULT_WEIGHTS)}"
                )
        if len(set(terms)) < len(terms):
            raise ValueError(f"objectives: {objective.strip()!r} names a term twice")
        weights: dict[str, Any] = {
            f"{term}_weight": (_weight(term, base) if term in terms else 0.0)
            for term in DEFAULT_WEIGHTS
        }
        configs["+".join(terms)] = dataclasses.replace(base, **weights)
    return configs


def judging_config(
    base: DistillationConfig, objectives: list[DistillationConfig]
) -> DistillationConfig:
    """Return the weights of the objective by which all students are validated.

    Every term has a weight above 0, except the slow forward KL if no objective contains it.

    Args:
        base: weights of the recipe.
        objectives: the objectives that are compared.
    """
    weights: dict[str, Any] = {f"{term}_weight": _weight(term, base) for term in DEFAULT_WEIGHTS}
    if not any(config.forward_kl_weight for config in objectives):
        weights["forward_kl_weight"] = 0.0
    return dataclasses.replace(base, **weights)


def ablation_table(result: dict[str, Any]) -> str:
    """Format an ablation's result as a Markdown table."""
    columns = {
        name: title for name, title in COLUMNS.items() if any(name in row for row in result["rows"])
    }
    lines = [
        f"recipe {result['recipe']}, seed {result['seed']}, {result['max_steps']} steps each, "
        f"{result['held_out_utterances']} held-out utterances",
        "",
        f"| objective | {' | '.join(columns.values())} |",
        f"|---|{'---:|' * len(columns)}",
    ]
    for row in result["rows"]:
        cells = [f"{row[name]:.3g}" if name in row else "" for name in columns]
        lines.append(f"| {row['objective']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _check_budget(folder: Path, recipe: Recipe) -> None:
    """Refuse a finished student that this recipe would not have made.

    Raises:
        ValueError: if the student had more steps, or another objective, size or seed.
    """
    if not (folder / CONFIG_FILE).exists():
        return
    found = read_description(folder)["metadata"].get("recipe")
    if not isinstance(found, dict):
        return
    wanted = recipe.to_dict()
    changes = [
        change
        for part in ("student", "distillation", "seed")
        for change in differences(found.get(part), wanted[part], part)
    ]
    training, budget = found.get("student_training"), recipe.student_training.max_steps
    steps = training.get("max_steps", 0) if isinstance(training, dict) else 0
    if steps > budget:
        changes.insert(0, f"{steps} steps, not {budget}")
    if changes:
        raise ValueError(
            f"{folder}: holds a student of another budget or recipe ({'; '.join(changes)}): choose "
            "another --out"
        )


def _weight(term: str, base: DistillationConfig) -> float:
    return getattr(base, f"{term}_weight") or DEFAULT_WEIGHTS[term]


def _weights(config: DistillationConfig) -> dict[str, float]:
    weights = {term: getattr(config, f"{term}_weight") for term in DEFAULT_WEIGHTS}
    return {term: weight for term, weight in weights.items() if weight}


def _measured(scalars: dict[str, float]) -> dict[str, float]:
    stft = scalars["spectral_convergence"] + scalars["log_magnitude"]
    found = {"stft": stft, **scalars}
    return {name: found[name] for name in COLUMNS if math.isfinite(found.get(name, math.nan))}


def _seconds(folder: Path) -> float:
    """Return the training time in a run's log, seconds."""
    lines = (folder / METRICS_FILE).read_text().splitlines()
    return float(json.loads(lines[-1])["seconds"])
