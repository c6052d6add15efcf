"""A mel-conditioned WaveNet with exact, parallel likelihood."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from flows import (
    Autoregressive,
    Engine,
    Flow,
    Fold,
    FrameContext,
    PredictionErrorFilter,
    Pretrained,
    Transformer,
    Triangular,
    WaveNet,
    choose_engine,
    maf,
    rows_in_words,
)
from flows.density import check_temperature
from flows.precision import full_precision
from flows.transforms.prediction_error import LARGEST_LOG_GAIN
from storage.configuration import from_dict
from teacher.config import TeacherConfig
from teacher.distributions import distribution_of, transformer_of
from teacher.drawing import draw
from teacher.frames import compose, part_of
from teacher.prediction import Prediction
from teacher.voicing import Voicing

NOISE_GAIN = 5.0
"""Factor on the learned parameter `noise_level`; see `LinearPrediction.gain`."""


class Teacher(Pretrained):
    r"""A WaveNet that predicts a Gaussian, or a mixture of logistics, for each sample.

    .. math:: p(x \mid c) = \prod_t p(x_t;\, h(x_{<t}, c)), \qquad
              p = \mathcal{N}(\mu, \sigma^2) \text{ or } \textstyle\sum_k \pi_k\, L(\mu_k, s_k)

    The teacher is a MAF: the likelihood of a whole waveform takes one parallel pass, and a waveform
    is drawn step by step.

    A frame teacher (`frame_length` r above 1) runs its network once every r samples; see
    `teacher.frames`.

    References:
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
        # The direction in which the level of the noise on the past shifts the hidden frames.
        self.noise_level = (
            torch.nn.Parameter(torch.zeros(config.context_channels, 1))
            if config.past_noise
            else None
        )
        self.voicing = Voicing(config.context_channels) if config.voiced_temperature < 1 else None
        self.distribution = distribution_of(config)
        transformer = transformer_of(config, self.distribution)
        wavenet = WaveNet(
            config.wavenet,
            transformer.num_params,
            num_channels=config.frame_length,
            context_channels=config.context_channels,
            locations=self.distribution.locations,
        )
        self.flow = Flow(self.distribution.base, compose(config, maf(wavenet, transformer)))

    @property
    def autoregressive(self) -> Autoregressive:
        """The autoregressive transform, which contains the causal network."""
        found = part_of(self.flow.transform, Autoregressive)
        assert found is not None
        return found

    @property
    def error_filter(self) -> PredictionErrorFilter | None:
        """The linear predictor before the network, or None."""
        return part_of(self.flow.transform, PredictionErrorFilter)

    @property
    def fold(self) -> Fold | None:
        """The fold of a signal into frames of r samples, or None if `frame_length` r is 1."""
        return part_of(self.flow.transform, Fold)

    @property
    def wavenet(self) -> WaveNet:
        """The causal network."""
        assert isinstance(self.autoregressive.conditioner, WaveNet)
        return self.autoregressive.conditioner

    @property
    def transformer(self) -> Transformer:
        """The bijection from samples (or prediction errors) to noise."""
        return self.autoregressive.transformer

    def set_statistics(self, mel_mean: Tensor, mel_std: Tensor, waveform_std: float) -> None:
        """Set the normalisation and the initial parameters of an untrained model.

        Args:
            mel_mean: mean of each conditioning row (mel bands, then pitch, voicing and speakers),
                shape (num_features,).
            mel_std: standard deviation of each conditioning row, shape (num_features,).
            waveform_std: standard deviation of the corpus's samples. It sets the gain of the linear
                predictor. Without a predictor, it sets the scale of the network's input and of the
                initial distribution.
        """
        self.context.set_statistics(mel_mean, mel_std)
        if self.error_filter is not None:
            self.error_filter.set_level(waveform_std)
            waveform_std = 1.0
        initial = self.distribution.initial_params(waveform_std)
        initial = F.pad(initial, (0, self.transformer.num_params - initial.numel()))
        self.wavenet.set_statistics(waveform_std, initial)

    @property
    def receptive_field(self) -> int:
        """Largest number of past samples on which the distribution of a sample depends."""
        length = self.config.frame_length
        return self.wavenet.receptive_field * length + length - 1 + self.config.filter_order

    @property
    def smallest_log_scale(self) -> float:
        """Lower bound of a sample's log standard deviation, nats."""
        gain = 0.0 if self.error_filter is None else LARGEST_LOG_GAIN
        return self.config.log_scale_floor - gain

    def log_prob(self, waveform: Tensor, log_mel: Tensor) -> Tensor:
        """Return the exact log-density of whole waveforms.

        Args:
            waveform: samples in [-1, 1], shape (B, 1, T), T a multiple of hop_length.
            log_mel: shape (B, num_features, T / hop_length), or with `context_margin` true frames
                more on each side.
        Returns:
            log-density in nats, shape (B,).
        Raises:
            ValueError: if the shapes do not fit each other.
        """
        return self.flow.log_prob(waveform, self.context_frames(waveform, log_mel))

    def prediction(self, waveform: Tensor, log_mel: Tensor) -> Prediction:
        """Return the distribution of every sample given all earlier samples.

        Args:
            waveform: shape (B, 1, T).
            log_mel: as in `log_prob`.
        Returns:
            the distributions, differentiable in the waveform.
        """
        frames = self.context_frames(waveform, log_mel)
        shift, log_gain = self.shift_and_log_gain(waveform, frames)
        residual = self.folded(waveform * log_gain.exp() + shift)
        params = self.residual_params(residual, frames)
        return Prediction(self.distribution, params, shift, log_gain)

    def predict(self, waveform: Tensor, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """Return location and log-scale of each sample, (B, 1, T) each; see `prediction`.

        Raises:
            ValueError: if the teacher's distribution is not Gaussian.
        """
        return self.prediction(waveform, log_mel).location_and_log_scale()

    def choose_engine(self, engine: Engine = "auto") -> tuple[Engine, str]:
        """Return the engine that draws samples, and the reason; see `flows.choose_engine`."""
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
            log_mel: shape (B, num_features, L).
            temperature: factor on the noise of each sample, not on the choice of a component; in
                voiced frames, `TeacherConfig.voiced_temperature` is another factor.
            generator: source of randomness.
            engine: "compiled", "graph", "persistent", "torch", or "auto"; see
                `flows.choose_engine`.
        Returns:
            waveforms, shape (B, 1, L * hop_length); not clipped.
        """
        return torch.cat(list(self.stream([log_mel], temperature, generator, engine)), -1)

    @torch.no_grad()
    def stream(
        self,
        log_mels: Iterable[Tensor],
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        engine: Engine = "auto",
    ) -> Iterator[Tensor]:
        """Draw waveforms piece by piece; `sample` describes the other arguments.

        Args:
            log_mels: consecutive frames, shape (B, num_features, n) each, any n. All frames are
                read before the first sample is drawn.
        Yields:
            consecutive pieces of the waveforms, shape (B, 1, m) each; not clipped.
        Raises:
            ValueError: at the first piece, if a shape, `temperature` or `engine` is not valid, or
                there are no frames at all.
        """
        check_temperature(temperature)
        log_mel = self.context.join(log_mels)
        frames = self.frames_of(log_mel, log_mel.shape[-1])
        yield from draw(self, frames, temperature, generator, engine)

    def config_dict(self) -> dict[str, Any]:
        """Return the configuration as plain JSON values."""
        return dataclasses.asdict(self.config)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build an untrained teacher from what `config_dict` returned."""
        return cls(from_dict(TeacherConfig, config))

    def shift_and_log_gain(self, past: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return shift and log-gain of the linear predictor: the residual is x e^log_gain + shift.

        Args:
            past: the waveform that the predictor reads, shape (B, 1, T).
            frames: output of the context network, shape (B, H, T / hop_length).
        Returns:
            shift and log-gain in nats, shape (B, 1, T) each; zeros without a predictor.
        """
        if self.error_filter is None:
            nothing = torch.zeros_like(past)
            return nothing, nothing
        return self.error_filter.shift_and_log_scale(past, frames)

    def folded(self, signal: Tensor) -> Tensor:
        """Fold a signal (B, 1, T) into frames, shape (B, r, T / r)."""
        return signal if self.fold is None else self.fold(signal)[0]

    def residual_params(self, residual: Tensor, frames: Tensor) -> Tensor:
        """Return each sample's parameters (B, P, 1, T), from the folded residual (B, r, T / r)."""
        params: Tensor = self.wavenet(residual, frames)
        if isinstance(self.transformer, Triangular):
            params = self.transformer.given_frame(residual, params)
        return params.transpose(2, 3).flatten(2)[:, :, None]

    def context_frames(
        self, waveform: Tensor, log_mel: Tensor, noise_level: Tensor | None = None
    ) -> Tensor:
        """Compute the hidden frames of a waveform (B, 1, T), shape (B, H, T / hop_length).

        Raises:
            ValueError: if the shapes do not fit each other.
        """
        samples, hop = waveform.shape[-1], self.config.hop_length
        if samples % hop:
            raise ValueError(f"waveform has {samples} samples, expected a multiple of {hop}")
        return self.frames_of(log_mel, samples // hop, noise_level)

    def frames_of(
        self, log_mel: Tensor, num_frames: int, noise_level: Tensor | None = None
    ) -> Tensor:
        """Compute hidden frames, (B, H, L), which condition the linear predictor and the network.

        Args:
            log_mel: shape (B, num_features, L), or with margins.
            num_frames: L.
            noise_level: level of the noise on the past, divided by `TeacherConfig.past_noise`,
                shape (B,); None for the level `TeacherConfig.assumed_noise`.
        """
        with full_precision(log_mel):  # the frames determine the predictor's coefficients
            frames: Tensor = self.context(log_mel, num_frames)
            if self.noise_level is not None:
                if noise_level is None:
                    level = self.config.assumed_noise / self.config.past_noise
                    noise_level = frames.new_full((frames.shape[0],), level)
                frames = frames + NOISE_GAIN * noise_level[:, None, None] * self.noise_level
            return frames
