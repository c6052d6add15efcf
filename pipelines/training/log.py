"""The log of a run: scalars, audio and pictures."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.tensorboard import summary
from tqdm import tqdm

from pipelines.training.event_file import EventFile
from storage.atomic import write_file

METRICS_FILE = "metrics.jsonl"


@dataclass
class Validation:
    """The results of a validation: scalars by name, warnings, audio and pictures.

    A lower `score` is better. A `score` of None means that no measure decides, and that the newest
    model counts as the best.
    """

    score: float | None
    scalars: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    audio: dict[str, Tensor] = field(default_factory=dict)  # (1, T) at the corpus's rate
    images: dict[str, Any] = field(default_factory=dict)  # (H, W, 3) uint8


class TrainingLog:
    """A log of scalars, audio and pictures in TensorBoard, and of scalars in `metrics.jsonl`.

    Args:
        folder: folder of the run.
        sample_rate: rate of the audio, Hz.
        first_step: step of the state from which the run resumes. Lines of later steps are dropped,
            because those steps run again.
    """

    def __init__(self, folder: Path, sample_rate: int, first_step: int) -> None:
        self._events = EventFile(folder / "tensorboard", first_step)
        self._path = folder / METRICS_FILE
        self._sample_rate = sample_rate
        kept = _lines_until(self._path, first_step)
        write_file(self._path, "".join(f"{json.dumps(line)}\n" for line in kept))
        self._started = time.monotonic() - (kept[-1]["seconds"] if kept else 0.0)

    def say(self, message: str) -> None:
        """Print a line without disturbing the progress bar."""
        tqdm.write(message)

    def scalars(self, part: str, step: int, values: dict[str, float]) -> None:
        """Log values by name, in the group "train" or "validation"."""
        for name, value in values.items():
            self._events.add(summary.scalar(f"{part}/{name}", value), step)
        self._events.flush()
        seconds = round(time.monotonic() - self._started, 1)
        line = {"step": step, "part": part, "seconds": seconds, **values}
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def validation(self, step: int, validation: Validation) -> None:
        """Log the results of a validation, and print the scalars and warnings."""
        score = {} if validation.score is None else {"score": validation.score}
        self.scalars("validation", step, score | validation.scalars)
        shown = "  ".join(f"{name} {value:.4g}" for name, value in validation.scalars.items())
        self.say(f"step {step}: {shown}")
        for warning in validation.warnings:
            self.say(f"warning: {warning}")
        for name, audio in validation.audio.items():
            sound = summary.audio(name, audio.clamp(-1, 1), self._sample_rate)
            self._events.add(sound, step)
        for name, image in validation.images.items():
            self._events.add(summary.image(name, image, dataformats="HWC"), step)
        self._events.flush()

    def close(self) -> None:
        """Close the files."""
        self._events.close()


class SilentLog(TrainingLog):
    """A log that writes nothing, for processes other than the first."""

    def __init__(self, folder: Path, sample_rate: int, first_step: int) -> None:
        pass

    def say(self, message: str) -> None:
        """Print nothing."""

    def scalars(self, part: str, step: int, values: dict[str, float]) -> None:
        """Log nothing."""

    def validation(self, step: int, validation: Validation) -> None:
        """Log nothing."""

    def close(self) -> None:
        """Close nothing."""


def _lines_until(path: Path, last_step: int) -> list[dict[str, Any]]:
    """Read the lines up to a step; the last line of a killed run may be cut short."""
    if not last_step or not path.exists():
        return []
    lines = []
    for text in path.read_text(errors="replace").splitlines():
        try:
            line = json.loads(text)
            if line["step"] <= last_step:
                lines.append(line)
        except (ValueError, TypeError, KeyError):
            continue
    return lines
