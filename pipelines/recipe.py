"""The recipe: every value that a run depends on."""

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path

from data import PrepareConfig
from distill import DistillationConfig
from pipelines.precision import PrecisionName
from student import StudentConfig
from teacher import TeacherConfig


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Training of a model; teacher and student are trained by one loop.

    Args:
        initial: folder or name of a trained model to start from; "" for random weights.
        initial_share: share of that model's weights in the weights that are evaluated and saved; 0
            for a model that was trained from random weights.
        max_steps: number of optimiser steps.
        batch_size: number of segments in a step.
        segment_frames: number of mel frames in a segment.
        learning_rate: Adam's peak learning rate.
        warmup_steps: number of steps of linear warm-up.
        adam_beta2: decay of Adam's second moment. A smaller decay recovers sooner from the rare
            huge gradient of a likelihood with small scales.
        final_learning_rate_ratio: final learning rate over the peak; a cosine joins the two.
        gradient_clip: largest gradient norm.
        ema_decay: decay of the averaged weights, which are evaluated and saved.
        precision: Fabric's name of the number type; "bf16-mixed" computes the networks in bfloat16,
            and so does "auto" if the device multiplies in bfloat16.
        recompute: whether gated layers compute their activations again in the backward pass instead
            of keeping them (gradient checkpointing): less memory, more time.
        log_every: number of steps between scalars in the log.
        validate_every: number of steps between validations; each also saves a checkpoint.
        keep_checkpoints: number of newest checkpoints to keep, besides the best validation's.
        validation_utterances: number of held-out utterances in a validation.
    """

    initial: str = ""
    initial_share: float = 0.0
    max_steps: int = 100_000
    batch_size: int = 8
    segment_frames: int = 32
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    adam_beta2: float = 0.999
    final_learning_rate_ratio: float = 0.02
    gradient_clip: float = 10.0
    ema_decay: float = 0.9999
    precision: PrecisionName = "32-true"
    recompute: bool = False
    log_every: int = 20
    validate_every: int = 1000
    keep_checkpoints: int = 2
    validation_utterances: int = 8

    def __post_init__(self) -> None:
        for name in (
            "max_steps",
            "batch_size",
            "segment_frames",
            "log_every",
            "validate_every",
            "keep_checkpoints",
            "validation_utterances",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"training.{name} is {getattr(self, name)}, expected at least 1")
        if self.warmup_steps < 0:
            raise ValueError(f"training.warmup_steps is {self.warmup_steps}, expected >= 0")
        for name in ("learning_rate", "gradient_clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"training.{name} is {getattr(self, name)}, expected > 0")
        for name in ("initial_share", "ema_decay", "adam_beta2", "final_learning_rate_ratio"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"training.{name} is {getattr(self, name)}, expected 0 to 1")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The values of a whole run, from corpus to student.

    Args:
        name: name of the folders `dump/NAME` and `exp/NAME`.
        seed: seed of weights, segments and noise.
        data: corpus, mel convention and split.
        teacher: size of the teacher.
        teacher_training: training of the teacher.
        student: size of the student.
        student_training: training of the student.
        distillation: weights of the student's objective.
        speakers: whether the models are conditioned on the speaker: the first folder of an
            utterance's name, as in a corpus `allison+fr`.
    """

    name: str = "allison"
    seed: int = 1
    data: PrepareConfig = field(default_factory=lambda: PrepareConfig(corpus="allison"))
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    teacher_training: TrainingConfig = field(default_factory=TrainingConfig)
    student: StudentConfig = field(default_factory=StudentConfig)
    student_training: TrainingConfig = field(default_factory=TrainingConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    speakers: bool = False

    def __post_init__(self) -> None:
        if self.name in ("", ".", "..") or Path(self.name).name != self.name or "\0" in self.name:
            raise ValueError(f"name is {self.name!r}, expected the name of a folder")
        for model in ("teacher", "student"):
            for name in ("num_mels", "hop_length"):
                found = getattr(getattr(self, model), name)
                wanted = getattr(self.data.mel, name)
                if found != wanted:
                    raise ValueError(f"{model}.{name} is {found}, but data.mel.{name} is {wanted}")
            if getattr(self, model).pitch:
                raise ValueError(
                    f"{model}.pitch is true, expected false: data.pitch.kind decides for both"
                )
            num_speakers = getattr(self, model).num_speakers
            if num_speakers:
                raise ValueError(
                    f"{model}.num_speakers is {num_speakers}, expected 0: with speakers true they "
                    "are counted in the corpus"
                )
        rate, excitation = self.data.mel.sample_rate, self.student.excitation
        if excitation.kind != "none" and excitation.sample_rate != rate:
            raise ValueError(
                f"student.excitation.sample_rate is {excitation.sample_rate}, but "
                f"data.mel.sample_rate is {rate}"
            )
        self.distillation.check_models(self.student, self.teacher)
        longest = max(self.distillation.spectral.fft_sizes)
        samples = self.student_training.segment_frames * self.data.mel.hop_length
        if samples < longest:
            raise ValueError(
                f"student_training.segment_frames gives {samples} samples, fewer than the "
                f"longest transform, distillation.spectral.fft_sizes {longest}"
            )

    def to_dict(self) -> dict[str, object]:
        """Return plain values, as they are stored with every model."""
        return dataclasses.asdict(self)
