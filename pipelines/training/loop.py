"""The training loop of teacher and student."""

import math
import signal
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from tqdm import tqdm

from data import Batch, SegmentSampler
from flows import Pretrained, recompute_layers
from pipelines.ranks import rank
from pipelines.recipe import TrainingConfig
from pipelines.training.checkpoints import CheckpointError
from pipelines.training.deferred import Deferred
from pipelines.training.ema import Average
from pipelines.training.errors import LostProcessError, TrainingError
from pipelines.training.log import SilentLog, TrainingLog
from pipelines.training.parallel.processes import (
    is_lost_process,
    join_processes,
    mean_over_processes,
    most_in_any_process,
    precision_plugin,
)
from pipelines.training.schedule import learning_rate_at, seed_step
from pipelines.training.signals import Stopped, StopRequest, stop_requests
from pipelines.training.state import TrainingState
from pipelines.training.task import Task
from pipelines.training.threads import settle_threads
from storage.folder_lock import folder_lock

MAX_CONSECUTIVE_SKIPS = 20


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
    """Train a task's model, resuming from the folder's newest checkpoint if there is one.

    Several processes (`pipelines.training.parallel`) share each batch, and the sampler returns each
    process's part.

    Args:
        task: the model, its loss and its validation.
        sampler: source of the segments. A step's batch and torch's random state depend on
            (seed, step) alone, so that a resumed run continues as if it had not stopped.
        config: number of steps, learning rate and so on.
        folder: gets the model (`config.json`, `model.safetensors`), `checkpoints/` to resume from,
            `metrics.jsonl` and TensorBoard events.
        metadata: values that are stored with the model.
        device: "auto", "cpu", "cuda" or another device that Fabric accepts.
        sample_rate: rate of the audio in TensorBoard, Hz.
        on_step: called with the number of finished steps; tests interrupt a run with it.
    Returns:
        the averaged model of the best validation.
    Raises:
        TrainingError: after `MAX_CONSECUTIVE_SKIPS` steps in a row without a finite loss and
            gradient, or if all checkpoints are damaged.
        LostProcessError: if another process is lost.
        Stopped: after SIGINT, SIGTERM or SIGHUP; the state has been saved.
        FolderInUseError: if another run is training in the folder.
    """
    with folder_lock(folder) if rank() == 0 else nullcontext(), stop_requests() as stop:
        run = _Run(task, sampler, config, folder, metadata, device, sample_rate, stop)
        try:
            run.resume()
            run.train(on_step)
            run.fabric.barrier()  # wait until process 0 has written the last model
        except CheckpointError as error:
            raise TrainingError(str(error)) from error
        except RuntimeError as error:
            if not is_lost_process(error):
                raise
            raise LostProcessError(
                f"lost a process of {run.fabric.world_size}; the same command resumes from the "
                "last checkpoint"
            ) from error
    return type(task.model).from_pretrained(folder, run.fabric.device)


class _Run:
    """One process's part of a training run; the arguments are those of `train`."""

    def __init__(
        self,
        task: Task,
        sampler: SegmentSampler,
        config: TrainingConfig,
        folder: Path,
        metadata: dict[str, Any],
        device: str,
        sample_rate: int,
        stop: StopRequest,
    ) -> None:
        self.task, self.sampler, self.config, self.folder = task, sampler, config, folder
        self.sample_rate, self.stop = sample_rate, stop
        self.fabric = join_processes(device, precision_plugin(config.precision, device))
        self.is_writer = self.fabric.is_global_zero
        settled = settle_threads(task, self.fabric.device)
        if settled is not None and self.is_writer:
            tqdm.write(settled)
        adam = torch.optim.Adam(
            [p for p in task.parameters() if p.requires_grad],
            lr=config.learning_rate,
            betas=(0.9, config.adam_beta2),
            # Fabric cannot clip gradients that a fused optimiser is going to unscale.
            fused=config.precision != "16-mixed",
        )
        if config.recompute:
            recompute_layers(task)
        self.module, self.optimizer = self.fabric.setup(task, adam)
        self.averaged = Average(task.model, config.ema_decay, config.initial_share)
        self.state = TrainingState(
            task,
            {"model": task.model, "averaged": self.averaged, **task.companions},
            adam,
            self.fabric.strategy.precision,
            folder,
            metadata,
        )
        self.unsettled: tuple[int, Deferred] | None = None
        self.is_stopping = False

    def resume(self) -> None:
        """Continue from the newest undamaged checkpoint, if there is one."""
        say = tqdm.write if self.is_writer else _say_nothing
        path = self.fabric.broadcast(self.state.find(say) if self.is_writer else None)
        if path is None:
            return
        self.state.load(path, say)
        if self.is_writer:
            self.state.restore_best(say)
        say(f"resuming at step {self.state.progress.step}")

    def train(self, on_step: Callable[[int], None] | None) -> None:
        """Run the remaining steps."""
        progress, config = self.state.progress, self.config
        self.task.train()
        make_log = TrainingLog if self.is_writer else SilentLog
        with (
            closing(make_log(self.folder, self.sample_rate, progress.step)) as log,
            tqdm(
                total=config.max_steps,
                initial=progress.step,
                desc=self.task.name,
                unit="step",
                mininterval=5.0,
                disable=not self.is_writer,
            ) as bar,
        ):
            for batch in self.sampler.iterate(progress.step, config.max_steps):
                scalars = self.step(batch, log)
                progress.step += 1
                bar.update()
                is_last = progress.step == config.max_steps
                is_logged = progress.step % config.log_every == 0 or is_last
                is_validated = progress.step % config.validate_every == 0 or is_last
                if is_logged or is_validated:
                    self.settle(log)
                if is_logged:
                    scalars |= {
                        "learning_rate": self.optimizer.param_groups[0]["lr"],
                        "skipped_steps": progress.num_skipped,
                        "clipped_steps": progress.num_clipped,
                    }
                    values = {name: float(value) for name, value in scalars.items()}
                    values = mean_over_processes(values, self.fabric.device)
                    log.scalars("train", progress.step, values)
                    bar.set_postfix(loss=f"{values['loss']:.3f}")
                if self.is_writer and is_validated:
                    self.validate(log)
                if on_step is not None:
                    on_step(progress.step)
                is_alone = self.fabric.world_size == 1
                if self.is_stopping or (is_alone and self.stop.received is not None):
                    self.save_and_stop(log)

    def step(self, batch: Batch, log: TrainingLog) -> dict[str, float | Tensor]:
        """Make an optimiser step and return its scalars; a step that is not finite is skipped.

        The device decides whether to skip. The host learns of it one step later, so that the device
        never waits for the host.
        """
        progress, config = self.state.progress, self.config
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate_at(progress.step, config)
        seed_step(self.sampler.seed, progress.step, rank())
        terms = self.module(batch.to(self.fabric.device), progress.step)
        self.optimizer.zero_grad()
        self.fabric.backward(terms["loss"])
        norm = self._clip()
        loss = terms["loss"].detach()
        is_bad = ~(torch.isfinite(loss) & torch.isfinite(norm))
        is_asked = torch.full_like(loss, self.stop.received is not None)
        flags = most_in_any_process(torch.stack([is_bad.to(loss), is_asked]))
        adam = self.optimizer.optimizer
        if adam.defaults["fused"]:
            adam.found_inf = flags[0]
        elif flags[0]:
            # Without gradients the optimiser moves nothing; the loss scaler reduces its scale.
            self.optimizer.zero_grad()
        self.optimizer.step()
        self.averaged.update_parameters(self.task.model, 1 - flags[0])
        self.settle(log)
        numbers = torch.stack([*flags, loss, norm.to(loss)])
        self.unsettled = progress.step, Deferred(numbers)
        return {name: value.detach() for name, value in terms.items()} | {"gradient_norm": norm}

    def _clip(self) -> Tensor:
        """Clip the gradients of model and companions separately; return the model's norm.

        If they were clipped together, the discriminators' gradients would shrink the model's step.
        """
        limit, companions = self.config.gradient_clip, self.task.companions.values()
        norm = self.fabric.clip_gradients(
            self.module,
            self.optimizer,
            max_norm=math.inf if companions else limit,
            error_if_nonfinite=False,
        )
        assert isinstance(norm, Tensor)
        if not companions:
            return norm
        norms = [
            clip_grad_norm_(part.parameters(), limit) for part in (self.task.model, *companions)
        ]
        return torch.where(torch.isfinite(norm), norms[0], norm)

    def settle(self, log: TrainingLog) -> None:
        """Read whether the last step was skipped, clipped or asked to stop."""
        if self.unsettled is None:
            return
        progress, (step, numbers) = self.state.progress, self.unsettled
        self.unsettled = None
        is_bad, is_asked, loss, norm = numbers.read()
        self.is_stopping = self.is_stopping or bool(is_asked)
        if is_bad:
            self._skip(step, loss, norm, log)
        else:
            progress.num_skipped_in_row = 0
            progress.num_clipped += norm > self.config.gradient_clip

    def validate(self, log: TrainingLog) -> None:
        """Validate the averaged model, save a checkpoint, and save the model if it is the best."""
        progress = self.state.progress
        validation = self.task.validate(self.state.average.eval())
        log.validation(progress.step, validation)
        score = validation.score
        is_best = score is None or (
            math.isfinite(score) and (progress.best_score is None or score < progress.best_score)
        )
        if is_best:
            progress.best_score, progress.best_step = score, progress.step
        # The checkpoint comes first: a run that dies in between restores the model from it.
        self.state.save(self.config.keep_checkpoints)
        if is_best:
            self.state.save_best()

    def save_and_stop(self, log: TrainingLog) -> NoReturn:
        """Save a checkpoint and end the run by raising `Stopped`."""
        self.settle(log)
        where = self.state.checkpoints
        if self.is_writer:
            self.state.save(self.config.keep_checkpoints)
        received = self.stop.received or signal.SIGTERM  # another process received the signal
        raise Stopped(
            f"stopped by {received.name} after step {self.state.progress.step}, saved in {where}",
            received,
        )

    def _skip(self, step: int, loss: float, norm: float, log: TrainingLog) -> None:
        progress = self.state.progress
        progress.num_skipped += 1
        progress.num_skipped_in_row += 1
        log.say(f"step {step}: loss {loss}, gradient norm {norm}: step skipped")
        if progress.num_skipped_in_row >= MAX_CONSECUTIVE_SKIPS:
            raise TrainingError(
                f"{progress.num_skipped_in_row} steps in a row without a finite loss and gradient; "
                f"the last good state is in {self.state.checkpoints}: lower training.learning_rate "
                "or gradient_clip"
            )


def _say_nothing(message: str) -> None:
    """Print nothing, in processes other than the first."""
