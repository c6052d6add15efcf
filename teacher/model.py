"""A mel-conditioned WaveNet with exact, parallel likelihood."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import torch
from torch import Tensor

from flows import (
    LOG_SCALE_FLOOR,
    Affine,
    Autoregressive,
    Engine,
    Flow,
    FrameContext,
    Pretrained,
    Transformer,
    WaveNet,
    WaveNetConfig,
    check_conditioning,
    choose_engine,
    discretised_log_prob,
    draw_chunks,
    maf,
    rows_in_words,
)
from flows.density import check_temperature
from flows.precision import full_precision
from storage.configuration import from_dict
from teacher.distributions import Gaussian, LogisticMixture, SampleDistribution

INT16_STEPS = 32768.0
"""Steps of 16-bit audio in a unit."""


@dataclass(frozen=True, kw_only=True)
class TeacherConfig:
    """Size of a teacher.

    Args:
        num_mels: bands of the log-mel conditioning.
        conditioning: "mel", or "none" for an unconditional model, which reads of the frames only
            how many there are.
        pitch: whether two rows below the bands give pitch (log2 of Hz) and voicing (0 or 1) at
            each frame's end; the pipeline sets it from `dsp.pitch`.
        num_speakers: rows below those that say who speaks; the pipeline sets it from the corpus.
        hop_length: samples per mel frame.
        context_channels: width of the context network.
        context_margin: mel frames seen before and after each frame.
        wavenet: size of the causal network.
        log_scale_floor: lower bound of the log standard deviation, of every component in a mixture,
            nats.
        distribution: of each sample given those before it: "gaussian", or "mixture" of logistics.
        num_components: logistics in the mixture.
        discretised: train a mixture by the probability of 16-bit steps instead of the density.
    """

    num_mels: int = 80
    conditioning: Literal["mel", "none"] = "mel"
    pitch: bool = False
    num_speakers: int = 0
    hop_length: int = 256
    context_channels: int = 64
    context_margin: int = 2
    wavenet: WaveNetConfig = field(default_factory=WaveNetConfig)
    log_scale_floor: float = LOG_SCALE_FLOOR
    distribution: Literal["gaussian", "mixture"] = "gaussian"
    num_components: int = 10
    discretised: bool = False

    def __post_init__(self) -> None:
        check_conditioning("teacher", self.conditioning, self.pitch, self.num_speakers)
        for name in ("num_mels", "hop_length", "context_channels", "num_components"):
            if getattr(self, name) < 1:
                raise ValueError(f"teacher.{name} is {getattr(self, name)}, expected at least 1")
        if self.distribution not in ("gaussian", "mixture"):
            raise ValueError(
                f"teacher.distribution is {self.distribution!r}, expected 'gaussian' or 'mixture'"
            )
        if self.discretised and self.distribution != "mixture":
            raise ValueError(
                f"teacher.discretised needs teacher.distribution 'mixture', got "
                f"{self.distribution!r}"
            )

    @property
    def num_features(self) -> int:
        """Rows of a conditioning frame."""
        return self.num_mels + 2 * self.pitch + self.num_speakers


class Teacher(Pretrained):
    r"""A WaveNet that predicts a Gaussian, or a mixture of logistics, for each sample.

    .. math:: p(x \mid c) = \prod_t p(x_t;\, h(x_{<t}, c)), \qquad
              p = \mathcal{N}(\mu, \sigma^2) \text{ or } \textstyle\sum_k \pi_k\, L(\mu_k, s_k)

    As a flow it is a MAF: the likelihood of a whole waveform is one parallel pass, a sample is
    drawn step by step.

    References:
        WaveNet (van den Oord et al., 2016). arXiv:1609.03499
        Parallel WaveNet (van den Oord et al., 2018), sec. 2. arXiv:1711.10433
        ClariNet (Ping et al., 2019), sec. 3.1. arXiv:1807.07281
    """

    kind = "teacher"

    def __init__(self, config: TeacherConfig) -> None:
        super().__init__()
        self.config = config
        self.metadata: dict[str, Any] = {}
        self.context = FrameContext(
            config.num_features,
            config.context_channels,
            config.context_margin,
            blind=config.conditioning == "none",
            rows=rows_in_words(config.num_mels, config.pitch, config.num_speakers),
        )
        self.distribution: SampleDistribution = (
            Gaussian(config.log_scale_floor)
            if config.distribution == "gaussian"
            else LogisticMixture(config.num_components, config.log_scale_floor)
        )
        transformer = self.distribution.transformer
        wavenet = WaveNet(
            config.wavenet,
            transformer.num_params,
            context_channels=config.context_channels,
            locations=self.distribution.locations,
        )
        self.flow = Flow(self.distribution.base, maf(wavenet, transformer))

    @property
    def autoregressive(self) -> Autoregressive:
        """The flow's only transform."""
        assert isinstance(self.flow.transform, Autoregressive)
        return self.flow.transform

    @property
    def wavenet(self) -> WaveNet:
        """The causal network."""
        assert isinstance(self.autoregressive.conditioner, WaveNet)
        return self.autoregressive.conditioner

    @property
    def transformer(self) -> Transformer:
        """The distribution of each sample, as a bijection."""
        return self.autoregressive.transformer

    def set_statistics(self, mel_mean: Tensor, mel_std: Tensor, waveform_std: float) -> None:
        """Fit the untrained model to its corpus.

        Args:
            mel_mean: mean of each mel band, shape (num_mels,).
            mel_std: its standard deviation, shape (num_mels,).
            waveform_std: standard deviation of the samples.
        """
        self.context.set_statistics(mel_mean, mel_std)
        self.wavenet.set_statistics(waveform_std, self.distribution.initial_params(waveform_std))

    @property
    def receptive_field(self) -> int:
        """Past samples that the distribution of a sample depends on."""
        return self.wavenet.receptive_field

    def log_prob(self, waveform: Tensor, log_mel: Tensor) -> Tensor:
        """Return the exact log-density of whole waveforms.

        Args:
            waveform: samples in [-1, 1], shape (B, 1, T), T a multiple of hop_length.
            log_mel: shape (B, num_mels, T / hop_length), or with `context_margin` true frames more
                on each side.
        Returns:
            log-density in nats, shape (B,).
        Raises:
            ValueError: if the shapes do not fit each other.
        """
        return self.flow.log_prob(waveform, self._frames(waveform, log_mel))

    def discretised_log_prob(self, waveform: Tensor, log_mel: Tensor) -> Tensor:
        """Return the log-probability of whole 16-bit waveforms.

        The waveforms are rounded to 16 bits first, what the network reads included. This is a
        probability, at most 1; the flow, and `log_prob`, stay the continuous density.

        Args:
            waveform: as in `log_prob`; dither within half a step is undone by the rounding.
            log_mel: as in `log_prob`.
        Returns:
            log-probability in nats, shape (B,); over -T log 2 it is bits per sample.
        Raises:
            ValueError: if the teacher is no mixture, or the shapes do not fit each other.
        """
        if not isinstance(self.distribution, LogisticMixture):
            raise ValueError(
                f"teacher.distribution is {self.config.distribution!r}: the probability of 16-bit "
                "steps is that of a 'mixture'"
            )
        rounded = torch.round(waveform * INT16_STEPS).clamp(-INT16_STEPS, INT16_STEPS - 1)
        rounded = rounded / INT16_STEPS
        params = self.predict_params(rounded, log_mel)
        floor = self.distribution.transformer.log_scale_floor
        return discretised_log_prob(rounded, params, 16, floor).flatten(1).sum(1)

    def predict_params(self, waveform: Tensor, log_mel: Tensor) -> Tensor:
        """Return what `distribution` reads: parameters of every sample given those before it.

        Args:
            waveform: shape (B, 1, T).
            log_mel: as in `log_prob`.
        Returns:
            parameters, shape (B, P, 1, T); differentiable in the waveform.
        """
        return self.wavenet(waveform, self._frames(waveform, log_mel))

    def predict(self, waveform: Tensor, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """Return location and bounded log-scale of every sample given those before it.

        Args:
            waveform: shape (B, 1, T).
            log_mel: as in `log_prob`.
        Returns:
            location and log-scale, shape (B, 1, T) each; differentiable in the waveform.
        Raises:
            ValueError: if the teacher is no Gaussian.
        """
        if not isinstance(self.transformer, Affine):
            raise ValueError(
                f"teacher.distribution is {self.config.distribution!r}: only a 'gaussian' has one "
                "location and log-scale per sample"
            )
        return self.transformer.split(self.predict_params(waveform, log_mel))

    def choose_engine(self, engine: Engine = "auto") -> tuple[Engine, str]:
        """Choose how to sample; see `flows.choose_engine`."""
        return choose_engine(next(self.parameters()), engine, sequential=True)

    def sample(
        self,
        log_mel: Tensor,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        engine: Engine = "auto",
    ) -> Tensor:
        """Draw waveforms step by step from cached activations.

        Args:
            log_mel: shape (B, num_mels, L).
            temperature: factor on the noise of each sample; the choice of a mixture's component
                stays as it is.
            generator: source of randomness.
            engine: "compiled", "graph", "persistent", "torch", or "auto"; see
                `flows.choose_engine`.
        Returns:
            waveforms, shape (B, 1, L * hop_length); not clipped.
        """
        return torch.cat(list(self.stream(log_mel, temperature, generator, engine)), -1)

    @torch.no_grad()
    def stream(
        self,
        log_mel: Tensor,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        engine: Engine = "auto",
    ) -> Iterator[Tensor]:
        """Draw waveforms piece by piece, as `sample` does.

        Yields:
            consecutive pieces of the waveforms, shape (B, 1, n) each.
        """
        check_temperature(temperature)
        with full_precision(log_mel):
            frames = self.context(log_mel, log_mel.shape[-1])
        shape = (log_mel.shape[0], 1, log_mel.shape[-1] * self.config.hop_length)
        like = log_mel.new_empty(shape)
        choice = None
        if isinstance(self.distribution, LogisticMixture):
            # The inverse of a mixture's CDF is iterative; a component's is not.
            choice = torch.empty_like(like).uniform_(generator=generator)
        noise = self.flow.base.sample(like, generator) * temperature
        yield from draw_chunks(self.autoregressive, noise, frames, choice, engine)

    def config_dict(self) -> dict[str, Any]:
        """Return the configuration as plain JSON values."""
        return dataclasses.asdict(self.config)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build an untrained teacher from what `config_dict` returned."""
        return cls(from_dict(TeacherConfig, config))

    def _frames(self, waveform: Tensor, log_mel: Tensor) -> Tensor:
        samples, hop = waveform.shape[-1], self.config.hop_length
        if samples % hop:
            raise ValueError(f"waveform has {samples} samples, expected a multiple of {hop}")
        return self.context(log_mel, samples // hop)
