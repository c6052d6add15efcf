"""The one training loop, for teacher and student."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from data import Batch, SegmentSampler
from flows import Pretrained
from flows.atomic import atomic_write
from pipelines.ema import averaged_copy
from pipelines.recipe import TrainingConfig

STATE_FILE = "state.pt"
METRICS_FILE = "metrics.jsonl"
MAX_CONSECUTIVE_SKIPS = 20


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why and where the last good state is."""


@dataclass
class Validation:
    """What a validation found: scalars by name (the lower `score`, the better) and warnings."""

    score: float
    scalars: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    audio: dict[str, Tensor] = field(default_factory=dict)  # (1, T) at the corpus's rate
    images: dict[str, Any] = field(default_factory=dict)  # (H, W, 3) uint8


class Task(nn.Module):
    """A model in training: what its loss is and how it is validated."""

    model: Pretrained
    name: str

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return scalars by name; `loss` is minimised."""
        raise NotImplementedError

    def validate(self, model: Pretrained) -> Validation:
        """Measure a model, the averaged one, on held-out data."""
        raise NotImplementedError


def learning_rate_at(step: int, config: TrainingConfig) -> float:
    """Learning rate of a step: linear warm-up, then a cosine to the final ratio."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.max_steps - config.warmup_steps)
    low = config.final_learning_rate_ratio
    factor = low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return config.learning_rate * factor


def train(
    task: Task,
    sampler: SegmentSampler,
    config: TrainingConfig,
    folder: Path,
    metadata: dict[str, Any],
    *,
    device: str = "auto",
    sample_rate: int,
    on_step: Callable[[int], None] | None = None,
) -> Pretrained:
    """Train a task's model, resuming from the folder's state if there is one.

    Args:
        task: model, loss and validation.
        sampler: training segments; a step's batch depends on (seed, step) alone, and so must the
            task's loss, so that an interrupted run continues as if it had not stopped.
        config: steps, learning rate and so on.
        folder: gets the model (`config.json`, `model.safetensors`), `state.pt` to resume from,
            `metrics.jsonl` and TensorBoard events.
        metadata: stored with the model.
        device: "auto", "cpu", "cuda" or what Fabric accepts.
        sample_rate: of audio logged to TensorBoard, Hz.
        on_step: called with the number of finished steps (tests interrupt there).
    Returns:
        the averaged model as of the best validation.
    Raises:
        TrainingError: after `MAX_CONSECUTIVE_SKIPS` steps in a row without a finite gradient.
    """
    fabric = Fabric(accelerator=device, devices=1, precision=config.precision)
    folder.mkdir(parents=True, exist_ok=True)
    optimizer = torch.optim.Adam(
        [p for p in task.parameters() if p.requires_grad],
        lr=config.learning_rate,
        betas=(0.9, config.adam_beta2),
    )
    module, optimizer = fabric.setup(task, optimizer)
    averaged = averaged_copy(task.model, config.ema_decay)
    average = averaged.module
    assert isinstance(average, Pretrained)
    state = _State(task.model, averaged, optimizer, folder / STATE_FILE)
    state.load()
    log = _Log(folder, sample_rate, state.step)
    if state.step:
        log.say(f"resuming at step {state.step}")
    skipped = 0
    bar = tqdm(
        total=config.max_steps, initial=state.step, desc=task.name, unit="step", mininterval=5.0
    )
    if state.step < config.max_steps:
        task.train()
    for batch in sampler.iterate(state.step, config.max_steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(state.step, config)
        terms = module(batch.to(fabric.device), state.step)
        optimizer.zero_grad()
        fabric.backward(terms["loss"])
        norm = fabric.clip_gradients(
            module, optimizer, max_norm=config.gradient_clip, error_if_nonfinite=False
        )
        assert isinstance(norm, Tensor)
        if torch.isfinite(norm):
            optimizer.step()
            averaged.update_parameters(task.model)
            skipped = 0
        else:
            skipped += 1
            log.say(f"step {state.step}: gradient norm is {float(norm)}, step skipped")
            if skipped >= MAX_CONSECUTIVE_SKIPS:
                raise TrainingError(
                    f"{skipped} steps in a row without a finite gradient; the last good state is "
                    f"{state.path}: lower training.learning_rate or gradient_clip"
                )
        state.step += 1
        bar.update()
        if state.step % config.log_every == 0 or state.step == config.max_steps:
            scalars = {name: float(value.detach()) for name, value in terms.items()}
            scalars |= {
                "gradient_norm": float(norm),
                "learning_rate": optimizer.param_groups[0]["lr"],
            }
            log.scalars("train", state.step, scalars)
            bar.set_postfix(loss=f"{scalars['loss']:.3f}")
        if state.step % config.validate_every == 0 or state.step == config.max_steps:
            validation = task.validate(average.eval())
            log.validation(state.step, validation)
            if validation.score < state.best:
                state.best = validation.score
                average.save_pretrained(folder, metadata | {"steps": state.step})
            state.save()
        if on_step is not None:
            on_step(state.step)
    bar.close()
    log.close()
    return type(task.model).from_pretrained(folder, fabric.device)


class _State:
    """What a run resumes from: weights, averages, optimiser, step and best score."""

    def __init__(
        self, model: nn.Module, averaged: nn.Module, optimizer: torch.optim.Optimizer, path: Path
    ) -> None:
        self.parts: dict[str, Any] = {"model": model, "averaged": averaged, "optimizer": optimizer}
        self.path = path
        self.step = 0
        self.best = math.inf

    def save(self) -> None:
        values = {name: part.state_dict() for name, part in self.parts.items()}
        values |= {"step": self.step, "best": self.best}
        with atomic_write(self.path) as file:
            torch.save(values, file)

    def load(self) -> None:
        if not self.path.exists():
            return
        try:
            values = torch.load(self.path, map_location="cpu", weights_only=True)
            for name, part in self.parts.items():
                part.load_state_dict(values[name])
            self.step, self.best = int(values["step"]), float(values["best"])
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise TrainingError(
                f"{self.path}: cannot be resumed from ({reason}); it may belong to another "
                "recipe: choose another --exp, or remove the file to start again"
            ) from error


class _Log:
    """Scalars, audio and pictures to TensorBoard; scalars also to `metrics.jsonl`."""

    def __init__(self, folder: Path, sample_rate: int, first_step: int) -> None:
        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=first_step or None)
        self.path = folder / METRICS_FILE
        self.sample_rate = sample_rate
        self.started = time.monotonic()
        lines = self.path.read_text().splitlines() if first_step and self.path.exists() else []
        kept = [line for line in lines if json.loads(line)["step"] <= first_step]
        with atomic_write(self.path) as file:
            file.write("".join(f"{line}\n" for line in kept).encode())

    def say(self, message: str) -> None:
        tqdm.write(message)

    def scalars(self, part: str, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(f"{part}/{name}", value, step)
        seconds = round(time.monotonic() - self.started, 1)
        with self.path.open("a") as file:
            file.write(
                json.dumps({"step": step, "part": part, "seconds": seconds, **values}) + "\n"
            )

    def validation(self, step: int, validation: Validation) -> None:
        self.scalars("validation", step, {"score": validation.score, **validation.scalars})
        shown = "  ".join(f"{name} {value:.4g}" for name, value in validation.scalars.items())
        self.say(f"step {step}: {shown}")
        for warning in validation.warnings:
            self.say(f"warning: {warning}")
        for name, audio in validation.audio.items():
            self.writer.add_audio(name, audio.clamp(-1, 1), step, sample_rate=self.sample_rate)
        for name, image in validation.images.items():
            self.writer.add_image(name, image, step, dataformats="HWC")
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()
