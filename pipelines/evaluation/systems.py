"""The systems that an evaluation compares: each makes a waveform from an utterance."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from tqdm import tqdm

from data import MelConfig, from_int16, to_int16
from distill import divergence
from dsp.filters.mel_equaliser import MelEqualiser
from dsp.griffin_lim import griffin_lim
from pipelines.evaluation.packages import world_resynthesis
from pipelines.heldout import Utterance, shuffled_frames
from student import Student
from teacher import Teacher

NUM_DRAWS = 4
"""Monte-Carlo draws for each sample, if a KL has no closed form; few suffice for an utterance."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A system's waveform for an utterance.

    Args:
        waveform: shape (1, 1, T) on the CPU, rounded to 16 bits.
        kl_nats: KL(student || teacher), nats per sample; for students only.
        from_shuffled: the student's sample from shuffled frames, of `waveform`'s shape.
        peak: largest absolute value before `waveform` was clipped to [-1, 1]; None for systems that
            cannot exceed it.
    """

    waveform: Tensor
    kl_nats: float | None = None
    from_shuffled: Tensor | None = None
    peak: float | None = None


class System(Protocol):
    """A system that makes a waveform of an utterance's length."""

    def draw(self, utterance: Utterance, seed: int) -> Drawn:
        """Make the waveform; equal seeds give equal waveforms."""


class Recording:
    """The recording itself, which shows the measures' values of perfect audio."""

    def draw(self, utterance: Utterance, seed: int) -> Drawn:
        """Return the recording; rounding removes the dither."""
        return Drawn(waveform=sixteen_bit(utterance.waveform))


class GriffinLim:
    """Griffin-Lim from the log-mel, which needs no training.

    Args:
        mel: the utterances' convention.
    """

    def __init__(self, mel: MelConfig) -> None:
        self.mel = mel

    def draw(self, utterance: Utterance, seed: int) -> Drawn:
        """Invert the log-mel from random phases."""
        log_mel = utterance.log_mel[0, : self.mel.num_mels].cpu().numpy()
        waveform = griffin_lim(log_mel, self.mel, seed=seed)
        return Drawn(waveform=sixteen_bit(torch.from_numpy(waveform)[None, None]))


class World:
    """WORLD analysis and synthesis of the recording: a classical vocoder under ideal conditions.

    Args:
        sample_rate: rate of the utterances, Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate

    def draw(self, utterance: Utterance, seed: int) -> Drawn:
        """Analyse the recording and synthesise it again."""
        recording = sixteen_bit(utterance.waveform)[0, 0].double().numpy()
        waveform = world_resynthesis(recording, self.sample_rate)
        return Drawn(waveform=sixteen_bit(torch.from_numpy(waveform).float()[None, None]))


class TeacherSystem:
    """A teacher's sample, drawn step by step.

    Args:
        teacher: the model.
        equaliser: filters the sample; None to leave it as it is.
    """

    def __init__(self, teacher: Teacher, equaliser: MelEqualiser | None = None) -> None:
        self.teacher = teacher
        self.equaliser = equaliser

    def draw(self, utterance: Utterance, seed: int) -> Drawn:
        """Sample the teacher from the log-mel."""
        generator = torch.Generator(utterance.log_mel.device).manual_seed(seed)
        total, pieces = utterance.waveform.shape[-1], []
        with tqdm(total=total, desc="teacher", unit="sample", leave=False) as bar:
            for piece in self.teacher.stream([utterance.log_mel], generator=generator):
                pieces.append(piece)
                bar.update(piece.shape[-1])
        sample = _equalised(torch.cat(pieces, -1), utterance.log_mel, self.equaliser)
        return Drawn(waveform=sixteen_bit(sample), peak=_peak(sample))


class StudentSystem:
    """A student's sample.

    Args:
        student: the model.
        teacher: the student's teacher, for the KL; None for no KL. The KL is that of the sample
            before the equaliser.
        equaliser: filters the sample; None to leave it as it is.
    """

    def __init__(
        self, student: Student, teacher: Teacher | None, equaliser: MelEqualiser | None = None
    ) -> None:
        self.student = student
        self.teacher = teacher
        self.equaliser = equaliser

    @torch.no_grad()
    def draw(self, utterance: Utterance, seed: int) -> Drawn:
        """Sample the student from the log-mel, and from the frames in random order."""
        generator = torch.Generator(utterance.log_mel.device).manual_seed(seed)
        z = self.student.flow.base.sample(torch.empty_like(utterance.waveform), generator)
        sample = self.student(z, utterance.log_mel)
        kl = None
        if self.teacher is not None:
            nats, _ = divergence(sample, self.teacher, utterance.log_mel, num_draws=NUM_DRAWS)
            kl = float(nats.double().mean())
        waveform = _equalised(sample.waveform, utterance.log_mel, self.equaliser)
        frames = shuffled_frames(utterance.log_mel, seed)
        shuffled = self.student.sample(frames, generator=generator)
        return Drawn(
            waveform=sixteen_bit(waveform),
            peak=_peak(waveform),
            kl_nats=kl,
            from_shuffled=sixteen_bit(_equalised(shuffled, frames, self.equaliser)),
        )


def _equalised(waveform: Tensor, log_mel: Tensor, equaliser: MelEqualiser | None) -> Tensor:
    return waveform if equaliser is None else equaliser(waveform, log_mel)


def _peak(waveform: Tensor) -> float:
    return float(waveform.abs().max())


def sixteen_bit(waveform: Tensor) -> Tensor:
    """Round to the values of a 16-bit file: any device to float32 on the CPU, shape unchanged."""
    return torch.from_numpy(from_int16(to_int16(waveform.cpu().numpy())[0]))
