"""The training tasks of the teacher and of the student."""

import numpy as np
import torch
from torch import Tensor, nn

from data import Batch, MelConfig, PitchConfig, log_mel, yin
from distill import Adversary, Distillation, DistillationConfig, at_rest, check_health
from flows import Pretrained
from flows.precision import full_precision
from pipelines.evaluation.free_running import free_running
from pipelines.heldout import (
    Utterance,
    bits_per_sample,
    floor_share,
    student_following,
    teacher_bits,
    teacher_nll,
)
from pipelines.pictures import spectrogram_image
from pipelines.ranks import world_size
from pipelines.training.log import Validation
from pipelines.training.parallel.processes import sum_over_processes
from pipelines.training.task import Task
from student import ExcitedContext, Student
from teacher import Teacher, noise_like, training_log_probs

PREDICTOR_WEIGHT = 0.1
"""Weight of the linear predictor's own likelihood. It decides the predictor's gain; the network's
likelihood decides everything else."""

VOICING_WEIGHT = 0.1
"""Weight of the cross-entropy of the voicing; its gradient reaches only `Teacher.voicing`."""

FREE_RUNNING_UTTERANCES = 3
"""Largest number of held-out utterances that a validation samples from a teacher."""

MONTE_CARLO = 1
"""A further number in the seed of Monte-Carlo draws, so that they differ from the noise."""


class TeacherTask(Task):
    """Training of a teacher by maximum likelihood on recordings.

    Args:
        model: the teacher in training.
        held_out: validation utterances.
        mel: convention of the log-mel.
        seed: seed of the noise that is added to the past. The noise of a row of a batch depends on
            (seed, step, row) alone.
    """

    name = "teacher"

    def __init__(
        self, model: Teacher, held_out: list[Utterance], mel: MelConfig, seed: int
    ) -> None:
        super().__init__()
        self.model: Teacher = model
        self.held_out = held_out
        self.mel = mel
        self.seed = seed

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the batch's mean negative log-likelihood, nats per sample, as `loss`."""
        noise = self._past_noise(batch, step) if self.model.config.past_noise else ()
        log_prob, of_predictor = training_log_probs(
            self.model, batch.waveform, batch.log_mel, *noise
        )
        samples = batch.waveform.shape[-1]
        loss = nll = -log_prob.mean() / samples
        terms = {}
        if of_predictor is not None:
            terms = {"nll": nll, "predictor_nll": -of_predictor.mean() / samples}
            loss = loss + PREDICTOR_WEIGHT * terms["predictor_nll"]
        if self.model.voicing is not None:
            terms["voicing"] = self._voicing_term(batch)
            loss = loss + VOICING_WEIGHT * terms["voicing"]
        return {"loss": loss} | terms

    def _voicing_term(self, batch: Batch) -> Tensor:
        """Return the cross-entropy of the frames' voicing, as YIN measures it."""
        assert self.model.voicing is not None
        rate, hop, pitch = self.mel.sample_rate, self.mel.hop_length, PitchConfig()
        _, voiced = yin(batch.waveform, rate, hop, pitch.fmin_hz, pitch.fmax_hz)
        with torch.no_grad(), full_precision(batch.waveform):
            frames = self.model.context_frames(batch.waveform, batch.log_mel)
        return self.model.voicing.loss(frames, voiced)

    def _past_noise(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """Draw noise for each clip, and its level relative to `past_noise`, in [0, 1], (B,)."""
        drawn, levels = [], []
        for row in range(batch.first_row, batch.first_row + batch.waveform.shape[0]):
            generator = torch.Generator().manual_seed(_seed_of(self.seed, step, row))
            levels.append(torch.rand(1, generator=generator))
            drawn.append(torch.randn(batch.waveform.shape[1:], generator=generator))
        level = torch.cat(levels).to(batch.waveform)
        white = torch.stack(drawn).to(batch.waveform) * level[:, None, None]
        noise = noise_like(batch.waveform, white, self.model.config.hop_length)
        return self.model.config.past_noise * noise, level

    def validate(self, model: Pretrained) -> Validation:
        """Compute the likelihood of held-out utterances, and sample some of them."""
        assert isinstance(model, Teacher)
        nats = teacher_nll(model, self.held_out)
        scalars = {
            "nll_nats": nats,
            "nll_bits": bits_per_sample(nats),
            "floor_share": floor_share(model, self.held_out[0]),
        }
        score = nats
        if model.config.discretised:
            score = scalars["discretised_bits"] = teacher_bits(model, self.held_out)
        heard = self.held_out[:FREE_RUNNING_UTTERANCES]
        drawn = free_running(model, heard, self.mel, self.seed)
        audio = {}
        for i, (utterance, sample) in enumerate(zip(heard, drawn.audio, strict=True)):
            audio[f"teacher_{i}"] = sample
            audio[f"recording_{i}"] = utterance.waveform[0].cpu()
        return Validation(
            score,
            scalars | {f"free_running/{name}": value for name, value in drawn.values.items()},
            drawn.warnings,
            audio=audio,
            images={
                "recording_above_teacher": _one_above_other(heard[0], drawn.audio[0], self.mel)
            },
        )


class StudentTask(Task):
    """Distillation: the frozen teacher scores the student's samples.

    Args:
        model: the student in training.
        teacher: the frozen teacher.
        config: weights of the objective.
        held_out: validation utterances.
        mel: convention of the log-mel.
        seed: seed of the training noise. The noise of a row of a batch depends on
            (seed, step, row) alone.
    """

    name = "student"

    def __init__(
        self,
        model: Student,
        teacher: Teacher,
        config: DistillationConfig,
        held_out: list[Utterance],
        mel: MelConfig,
        seed: int,
    ) -> None:
        super().__init__()
        self.model: Student = model
        total = sum_over_processes if world_size() > 1 else None
        self.objective = Distillation(model, teacher, config, mel, total)
        self.adversary = Adversary(config.adversarial) if config.adversarial_weight else None
        self.held_out = held_out
        self.mel = mel
        self.seed = seed

    @property
    def companions(self) -> dict[str, nn.Module]:
        """The discriminators, if any."""
        return {} if self.adversary is None else {"adversary": self.adversary}

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Draw samples for the batch's conditioning and score them."""
        config, excited = self.objective.config, self.model.config.excitation.kind != "none"
        if excited and step < config.excitation_steps:
            terms = self.objective.score_excitation(batch.log_mel, batch.waveform)
            rest = at_rest(self.model) + (at_rest(self.adversary) if self.adversary else 0.0)
            return terms | {"loss": terms["loss"] + rest}
        noise = _noise(self.model, batch.waveform, self.seed, step, batch.first_row)
        draws = torch.Generator(batch.waveform.device)
        draws.manual_seed(_seed_of(self.seed, step, batch.first_row, MONTE_CARLO))
        adversary = self.adversary
        if adversary is not None and step < config.adversarial.first_step:
            adversary = None
        terms = dict(self.objective(noise, batch.log_mel, batch.waveform, draws, adversary))
        context = self.model.context
        predictor = context.predictor if isinstance(context, ExcitedContext) else None
        if predictor is not None and not config.pitch_weight:  # the voice has a measured pitch
            terms["loss"] = terms["loss"] + at_rest(predictor)
        if self.adversary is not adversary:
            assert self.adversary is not None
            terms["loss"] = terms["loss"] + at_rest(self.adversary)
        return terms

    def validate(self, model: Pretrained) -> Validation:
        """Compute objective, health and following of the conditioning on held-out utterances."""
        assert isinstance(model, Student)
        training = self.objective
        objective = Distillation(model, training.teacher, training.config, self.mel)
        objective.eval()
        batch = _equal_lengths(self.held_out, self.mel.hop_length)
        noise = _noise(model, batch.waveform, self.seed, -1)
        with torch.no_grad():
            terms = objective(noise, batch.log_mel, batch.waveform)
        health = check_health(objective, noise, batch.log_mel, batch.waveform)
        scalars = {name: float(value) for name, value in terms.items()}
        scalars |= student_following(model, self.held_out, self.mel, self.seed)
        example = self.held_out[0]
        generator = torch.Generator(example.waveform.device).manual_seed(self.seed)
        sample = model.sample(example.log_mel, generator=generator)
        # A sample that deceives the discriminators may have a higher loss in the other terms.
        return Validation(
            scalars["loss"] if self.adversary is None else None,
            scalars | {f"health/{name}": value for name, value in health.values.items()},
            health.warnings,
            audio={"student": sample[0].cpu(), "recording": example.waveform[0].cpu()},
            images={"recording_above_student": _one_above_other(example, sample[0], self.mel)},
        )


def _one_above_other(utterance: Utterance, sample: Tensor, mel: MelConfig) -> np.ndarray:
    """Draw an utterance's log-mel above a sample's (1, T): an image (H, W, 3), uint8."""
    pair = (utterance.log_mel[:, : mel.num_mels], log_mel(sample[None], mel))
    pictures = [spectrogram_image(frames[0].cpu().numpy(), mel.lowest, 2.0) for frames in pair]
    return np.concatenate(pictures)


def _noise(student: Student, like: Tensor, seed: int, step: int, first_row: int = 0) -> Tensor:
    """Draw the student's noise; the noise of a row depends on (seed, step, row) alone."""
    drawn = []
    for row in range(first_row, first_row + like.shape[0]):
        generator = torch.Generator().manual_seed(_seed_of(seed, step, row))
        empty = torch.empty(1, *like.shape[1:], dtype=like.dtype)
        drawn.append(student.flow.base.sample(empty, generator))
    return torch.cat(drawn).to(like.device)


def _seed_of(seed: int, step: int, *row: int) -> int:
    """Return a seed for a row of a step's batch; validation has step -1."""
    return int(np.random.SeedSequence([seed, step + 1, *row]).generate_state(1, np.uint64)[0])


def _equal_lengths(utterances: list[Utterance], hop: int) -> Utterance:
    """Cut the utterances to the middle of the shortest one's length, and stack them."""
    frames = min(u.log_mel.shape[-1] for u in utterances)
    waveforms, mels = [], []
    for u in utterances:
        first = (u.log_mel.shape[-1] - frames) // 2
        waveforms.append(u.waveform[..., first * hop : (first + frames) * hop])
        mels.append(u.log_mel[..., first : first + frames])
    return Utterance("batch", torch.cat(waveforms), torch.cat(mels))
