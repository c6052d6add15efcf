"""A mel-conditioned stack of inverse autoregressive flows: noise to waveform in parallel."""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any, Self

import torch
from torch import Tensor

from flows import (
    Affine,
    ChainWeights,
    Engine,
    Flow,
    FrameContext,
    Pretrained,
    unbound_log_scale,
)
from storage.configuration import from_dict
from student.config import BASES, StudentConfig
from student.context import StudentContext
from student.parts import make_context, make_parts, make_steps, read_context, stream_context
from student.rendering import FEW_FRAMES, render, student_engine
from student.sample import StudentSample
from student.steps import StudentTransform, draw_with_distribution, unwrapped
from student.voice.excitation import ExcitedContext
from student.voice.excitation_config import ExcitationConfig
from student.voice.pitch_predictor import MeasuredVoice
from student.voice.source import Envelope


class Student(Pretrained):
    r"""A stack of inverse autoregressive flows.

    .. math:: x^{(k)}_t = x^{(k-1)}_t\, e^{s_k} + \mu_k, \qquad
              s_k, \mu_k \text{ from } x^{(k-1)}_{<t} \text{ and } c, \qquad x^{(0)} = z

    Given z_<t, the sample x_t is Gaussian or logistic, like the noise. Its log-scale is
    :math:`\sum_k s_k`, and its location follows from all s_k and mu_k. So its entropy is known, and
    between Gaussians the KL to the teacher has a closed form. A causal filter after the last flow
    (the inverse of a convolutional flow) keeps x_t Gaussian or logistic.

    A frame student (`config.frame_length` r > 1) applies the flows to the signal folded into frames
    of r samples, with fixed random rotations of a frame between flows. Given the noise of earlier
    frames, a frame is Gaussian with a full covariance, and each sample of the frame is Gaussian
    given all earlier samples; see `sample_by_sample`.

    References:
        Parallel WaveNet (van den Oord et al., 2018), eq. 4-6. arXiv:1711.10433
        ClariNet (Ping et al., 2019), sec. 3.2. arXiv:1807.07281
    """

    kind = "student"

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.config = config
        self.metadata: dict[str, Any] = {}
        self.context = make_context(config)
        self.transformer = Affine(config.log_scale_floor)
        self.parts = parts = make_parts(config, self.transformer)
        self.steps = make_steps(parts, self.transformer)
        self.flow = Flow(BASES[config.base](), StudentTransform(self.steps))  # registers the parts
        self.chain_weights = ChainWeights(parts.networks, self.transformer, parts.rotations)
        self.set_initial_std(config.initial_std)
        self._set_voice(config.excitation.breath, config.excitation.sharpness)

    @property
    def frame_context(self) -> FrameContext:
        """The network that reads the conditioning."""
        if isinstance(self.context, ExcitedContext):
            return self.context.frames
        return self.context

    @property
    def receptive_field(self) -> int:
        """Largest number of past noise samples on which the distribution of a sample depends."""
        frames = 1 + sum(size.receptive_field for size in self.config.wavenets)
        return frames * self.config.frame_length - 1 + self.config.filter_order

    def set_statistics(
        self,
        mel_mean: Tensor,
        mel_std: Tensor,
        waveform_std: float,
        envelope: Envelope | None = None,
    ) -> None:
        """Set the normalisation and the initial parameters of an untrained model.

        Args:
            mel_mean: mean of each conditioning row (mel bands, then pitch, voicing and speakers),
                shape (num_features,).
            mel_std: standard deviation of each conditioning row, shape (num_features,).
            waveform_std: standard deviation of the corpus's samples; the last flow's log-scale is
                set so that the untrained student's samples have this deviation.
            envelope: relation between the bands and the spectrum of a voice; None to start with a
                flat spectrum.
        """
        self.context.set_statistics(mel_mean, mel_std)
        self.set_initial_std(waveform_std)
        if envelope is not None and isinstance(self.context, ExcitedContext):
            self.context.set_envelope(envelope)

    def set_initial_std(self, std: float) -> None:
        """Set the level of an untrained student's flows, and of the voice, if there is a voice.

        The log-scale bias of the last flow sets the level of the flows' output. If the voice's
        network filters that output, the filter's gain sets the level instead, and the scale of the
        last flow is 1.

        Args:
            std: standard deviation.
        Raises:
            ValueError: if `std` is not above `flow.base.std` times the smallest scale of a flow.
        """
        lowest = self.flow.base.std * math.exp(self.config.log_scale_floor)
        if not self.parts.filter_is_given and std <= lowest:
            raise ValueError(
                f"std is {std:.3g}, expected more than {lowest:.3g}, a flow's smallest"
            )
        log_scale = 0.0 if self.parts.filter_is_given else math.log(std / self.flow.base.std)
        raw = unbound_log_scale(log_scale, self.config.log_scale_floor)
        self.parts.networks[-1].set_statistics(1.0, torch.tensor([0.0, raw]))
        if isinstance(self.context, ExcitedContext):
            self.context.set_initial_std(std)

    def set_breath(self, breath: float) -> None:
        """Set the gain of the flow's output in frames with a voice; see `ExcitationConfig`."""
        self._set_excitation(dataclasses.replace(self.config.excitation, breath=breath))

    def set_sharpness(self, sharpness: float) -> None:
        """Set how much the spectrum of the voice is deepened; see `ExcitationConfig`."""
        self._set_excitation(dataclasses.replace(self.config.excitation, sharpness=sharpness))

    def train(self, mode: bool = True) -> Self:
        """Switch to training, where breath is 1 and sharpness is 0, or back to drawing.

        A new student draws as its configuration says until it is switched. `Distillation` switches
        it to training.
        """
        super().train(mode)
        excitation = self.config.excitation
        self._set_voice(*((1.0, 0.0) if mode else (excitation.breath, excitation.sharpness)))
        return self

    def set_pitch_shift(self, semitones: float) -> None:
        """Shift the pitch of everything that is drawn from now on. A saved model has no shift.

        Args:
            semitones: the shift, upwards if positive; see `ExcitedContext.set_pitch_shift`.
        Raises:
            ValueError: if `semitones` is out of range, or the student has no excitation.
        """
        if not isinstance(self.context, ExcitedContext):
            raise ValueError("the student has no excitation, whose pitch could be shifted")
        self.context.set_pitch_shift(semitones)

    def forward(
        self,
        z: Tensor,
        log_mel: Tensor,
        measured: MeasuredVoice | None = None,
        hidden: Tensor | None = None,
    ) -> StudentSample:
        """Turn noise into a waveform and return the sample's own distribution with it.

        Args:
            z: noise from `flow.base`, shape (B, 1, T), T a multiple of hop_length.
            log_mel: shape (B, num_features, T / hop_length), or with `context_margin` true frames
                more on each side.
            measured: the recording's voice, in training; see `ExcitedContext.forward`.
            hidden: result of `ExcitedContext.hidden`, if the caller has it.
        Returns:
            sample, location and log-scale; see `StudentSample`.
        Raises:
            ValueError: if the shapes do not fit each other.
        """
        samples, hop = z.shape[-1], self.config.hop_length
        if samples % hop:
            raise ValueError(f"noise has {samples} samples, expected a multiple of {hop}")
        context = read_context(self.context, log_mel, samples // hop, measured, hidden)
        found = draw_with_distribution(self.steps, z, context)
        assert found.log_scale is not None
        scales = (found.log_scale, tuple(found.log_scales))
        return StudentSample(found.x, found.loc, *scales, self.flow.base, found.voice)

    def frames_of(self, log_mel: Tensor, num_frames: int) -> StudentContext:
        """Compute the context of L conditioning frames, given as in `forward`."""
        return read_context(self.context, log_mel, num_frames)

    def choose_engine(self, engine: Engine = "auto") -> tuple[Engine, str]:
        """Choose how to sample; see `flows.choose_engine`."""
        return student_engine(self.config, next(self.parameters()), engine)

    def sample(
        self,
        log_mel: Tensor,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        engine: Engine = "auto",
    ) -> Tensor:
        """Draw waveforms.

        Args:
            log_mel: shape (B, num_features, L).
            temperature: factor on the noise.
            generator: source of randomness.
            engine: "compiled", "fused", "torch", or "auto" for the first engine that applies; see
                `choose_engine`.
        Returns:
            waveforms, shape (B, 1, L * hop_length); not clipped.
        """
        with torch.no_grad():
            length = log_mel.shape[-1]
            if not length:
                raise ValueError("there are no conditioning frames")
            chunks = (self.frames_of(mel, length) for mel in [log_mel])
            few = log_mel.shape[0] * length <= FEW_FRAMES
            return torch.cat(list(render(self, chunks, temperature, generator, engine, few)), -1)

    @torch.no_grad()
    def stream(
        self,
        log_mels: Iterable[Tensor],
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        engine: Engine = "auto",
    ) -> Iterator[Tensor]:
        """Draw a waveform while its conditioning comes in, in constant memory.

        A sample comes out as soon as all frames that it depends on have come in. The latency is one
        frame, plus `context_margin` frames of look-ahead, plus the time of computing. With equal
        seeds, any division into pieces gives the same waveform up to float rounding. The rounding
        errors of a predicted pitch add up in the phase: after a minute, the waveforms of two
        divisions differ by about 75 dB below their level.

        Args:
            log_mels: consecutive frames, shape (B, num_features, n) each, any n.
            temperature: factor on the noise.
            generator: source of randomness.
            engine: see `sample`.
        Yields:
            consecutive pieces of the waveform, shape (B, 1, m * hop_length) each; not clipped.
        Raises:
            ValueError: if a shape does not fit, or there are no frames at all.
        """
        pieces = iter(log_mels)
        begin = list(itertools.islice(pieces, 1))
        few = all(piece.shape[0] * piece.shape[-1] <= FEW_FRAMES for piece in begin)
        chunks = stream_context(self.context, itertools.chain(begin, pieces))
        yield from render(self, chunks, temperature, generator, engine, few)

    def log_prob(self, waveform: Tensor, log_mel: Tensor) -> Tensor:
        """Return the exact log-density of whole waveforms in nats, shape (B,); see `encode`."""
        return self.flow.log_prob(waveform, self._context_of(waveform, log_mel))

    def encode(self, waveform: Tensor, log_mel: Tensor) -> Tensor:
        """Recover the noise, shape (B, 1, T), of waveforms (B, 1, T); `log_mel` as in `forward`.

        The noise is found step by step: this is the slow direction of an IAF.
        """
        noise: Tensor = self.flow.transform(waveform, self._context_of(waveform, log_mel))[0]
        return noise

    def _set_excitation(self, excitation: ExcitationConfig) -> None:
        self.config = dataclasses.replace(self.config, excitation=excitation)
        self._set_voice(excitation.breath, excitation.sharpness)

    def _set_voice(self, breath: float, sharpness: float) -> None:
        voice = self.context.voice if isinstance(self.context, ExcitedContext) else None
        if voice is not None and self.parts.voice is not None:
            self.parts.voice.gain, voice.sharpness = breath, sharpness

    def _context_of(self, signal: Tensor, log_mel: Tensor) -> StudentContext:
        return self.frames_of(log_mel, signal.shape[-1] // self.config.hop_length)

    def config_dict(self) -> dict[str, Any]:
        """Return the configuration as plain JSON values."""
        return dataclasses.asdict(self.config)

    @classmethod
    def current_names(cls, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Rename tensors of version 0.1, which wrapped the steps of a student with a voice."""
        return unwrapped(tensors)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build an untrained student from what `config_dict` returned."""
        return cls(from_dict(StudentConfig, config))
