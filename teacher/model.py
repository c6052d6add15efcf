"""A mel-conditioned WaveNet with exact, parallel likelihood."""

import dataclasses
import math
from collections.abc import Iterable, Iterator
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

from dsp.recursive_filter import recursive_filter
from flows import (
    Autoregressive,
    Compose,
    Engine,
    Flow,
    Fold,
    FrameContext,
    Inverse,
    PredictionErrorFilter,
    Pretrained,
    StandardNormal,
    Transform,
    Transformer,
    WaveNet,
    choose_engine,
    discretised_log_prob,
    draw_chunks,
    maf,
    rows_in_words,
)
from flows.density import check_temperature
from flows.precision import full_precision
from storage.configuration import from_dict
from teacher.config import TeacherConfig
from teacher.distributions import Gaussian, LogisticMixture, SampleDistribution
from teacher.prediction import Prediction

PartT = TypeVar("PartT", bound=Transform)

INT16_STEPS = 32768.0
"""Steps of 16-bit audio in a unit."""

DE_EMPHASIS = 0.85
"""Pole of the noise on the past: 22 dB less at half the sampling rate than at 0 Hz, as LPCNet's."""

PIECE_SAMPLES = 4096
"""Samples that a teacher draws at once, about: pieces hold whole conditioning frames."""


class Teacher(Pretrained):
    r"""A WaveNet that predicts a Gaussian, or a mixture of logistics, for each sample.

    .. math:: p(x \mid c) = \prod_t p(x_t;\, h(x_{<t}, c)), \qquad
              p = \mathcal{N}(\mu, \sigma^2) \text{ or } \textstyle\sum_k \pi_k\, L(\mu_k, s_k)

    As a flow it is a MAF: the likelihood of a whole waveform is one parallel pass, a sample is
    drawn step by step.

    A frame teacher (`frame_length` r above 1, `filter_order` K) runs its network once for every r
    samples. The waveform passes a linear predictor (`flows.PredictionErrorFilter`), its errors are
    folded into frames, and the network predicts a frame from the frames before it:

    .. math:: e_t = e^{g}\Big(x_t - \sum_{k=1}^{K} a_k\, x_{t-k}\Big), \qquad
              p(x \mid c) = \prod_n \prod_i p(e_{n,i};\, h_i(e_{<n}, c))\, e^{g}

    Within a frame the errors are independent given the earlier frames, and the predictor carries
    the dependence between neighbouring samples. The predictor is stable whatever its coefficients
    are, and the network's output is bounded, so that free running cannot run away.

    References:
        WaveNet (van den Oord et al., 2016). arXiv:1609.03499
        Parallel WaveNet (van den Oord et al., 2018), sec. 2. arXiv:1711.10433
        ClariNet (Ping et al., 2019), sec. 3.1. arXiv:1807.07281
        LPCNet (Valin & Skoglund, 2019): linear prediction, noise on the past. arXiv:1810.11846
        Bunched LPCNet2 (Park et al., 2022): several samples a step. arXiv:2203.14416
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
            num_channels=config.frame_length,
            context_channels=config.context_channels,
            locations=self.distribution.locations,
        )
        self.flow = Flow(self.distribution.base, self._transform(maf(wavenet, transformer)))

    def _transform(self, autoregressive: Autoregressive) -> Transform:
        """Put predictor and fold around the autoregressive flow."""
        config = self.config
        parts: list[Transform] = [autoregressive]
        if config.frame_length > 1:
            fold = Fold(config.frame_length)
            parts = [fold, autoregressive, Inverse(fold)]
        if config.filter_order:
            channels = config.context_channels
            parts.insert(0, PredictionErrorFilter(config.filter_order, 1, channels))
        return parts[0] if len(parts) == 1 else Compose(parts)

    def _part(self, kind: type[PartT]) -> PartT | None:
        """Return the first of the flow's transforms that is of a kind, if there is one."""
        whole = self.flow.transform
        parts = whole.transforms if isinstance(whole, Compose) else [whole]
        return next((part for part in parts if isinstance(part, kind)), None)

    @property
    def autoregressive(self) -> Autoregressive:
        """The transform that the causal network belongs to."""
        found = self._part(Autoregressive)
        assert found is not None
        return found

    @property
    def error_filter(self) -> PredictionErrorFilter | None:
        """The linear predictor before the network, if there is one."""
        return self._part(PredictionErrorFilter)

    @property
    def fold(self) -> Fold | None:
        """What makes frames of samples, if the network reads frames."""
        return self._part(Fold)

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
        if self.error_filter is not None:
            self.error_filter.set_level(waveform_std)
            waveform_std = 1.0
        self.wavenet.set_statistics(waveform_std, self.distribution.initial_params(waveform_std))

    @property
    def receptive_field(self) -> int:
        """Past samples that the distribution of a sample depends on, at most."""
        length = self.config.frame_length
        return self.wavenet.receptive_field * length + length - 1 + self.config.filter_order

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

    def training_log_probs(
        self, waveform: Tensor, log_mel: Tensor, past_noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        r"""Return what training maximises: `log_prob` under a noisy past, and the predictor's own.

        The linear predictor by itself is a density, too: its errors are white noise of level 1. The
        network could make up for any gain; this keeps the level at 1, which the network and the
        noise on its past rely on.

        .. math:: \log p_0(x \mid c) = \sum_t g + \log \mathcal{N}(e_t;\, 0, 1)

        The noise is added to the waveform that the predictor and the network read, not to the
        samples that they predict. So they learn to come back from a past that is a little wrong.

        Args:
            waveform: as in `log_prob`.
            log_mel: as in `log_prob`.
            past_noise: shape (B, 1, T); None for none. See `noise_like`.
        Returns:
            log-density in nats, or of a `discretised` teacher log-probability, shape (B,); that
            of the predictor alone, shape (B,), or None without one.
        References:
            LPCNet (Valin & Skoglund, 2019), sec. 3.3: noise on the network's inputs, and the
            clean signal less the prediction from the noisy one. arXiv:1810.11846
        """
        if self.config.discretised:
            return self.discretised_log_prob(waveform, log_mel), None
        frames = self._frames(waveform, log_mel)
        past = waveform if past_noise is None else waveform + past_noise
        log_det = waveform.new_zeros(waveform.shape[0])
        residual = waveform
        if self.error_filter is not None:
            shift, log_gain = self.error_filter.shift_and_log_scale(past, frames)
            residual, past = waveform * log_gain.exp() + shift, past * log_gain.exp() + shift
            log_det = log_gain.flatten(1).sum(1)
        residual = self._folded(residual)
        params = self.wavenet(self._folded(past), frames)
        z, log_scales = self.transformer(residual, params)
        of_base = (self.flow.base.log_prob(z) + log_scales).flatten(1).sum(1)
        if self.error_filter is None:
            return of_base + log_det, None
        of_white_noise = StandardNormal().log_prob(residual).flatten(1).sum(1)
        return of_base + log_det, of_white_noise + log_det

    def noise_like(self, waveform: Tensor, white: Tensor) -> Tensor:
        """Give white noise the local level of a waveform, and a spectrum that falls as speech's.

        Args:
            waveform: shape (B, 1, T), T a multiple of hop_length.
            white: noise of deviation 1, or less, shape (B, 1, T).
        Returns:
            noise, shape (B, 1, T): in each conditioning frame `white` times the RMS of the
            waveform, with less above some kilohertz than below.
        """
        levels = waveform.unflatten(-1, (-1, self.config.hop_length)).square().mean(-1).sqrt()
        scaled = white * levels.repeat_interleave(self.config.hop_length, -1)
        scaled = scaled * math.sqrt(1 - DE_EMPHASIS**2)
        taps = scaled.new_full((scaled.shape[0], 1, 1), DE_EMPHASIS)
        return recursive_filter(scaled[:, 0], taps)[:, None]

    def predict_params(self, waveform: Tensor, log_mel: Tensor) -> Tensor:
        """Return what `distribution` reads: parameters of every sample given those before it.

        Those of a teacher with a predictor belong to its error: `prediction` is of the samples.

        Args:
            waveform: shape (B, 1, T).
            log_mel: as in `log_prob`.
        Returns:
            parameters, shape (B, P, 1, T); differentiable in the waveform.
        """
        frames = self._frames(waveform, log_mel)
        return self._params(self._residual(waveform, frames)[0], frames)

    def prediction(self, waveform: Tensor, log_mel: Tensor) -> Prediction:
        """Return the distribution of every sample given those before it.

        Args:
            waveform: shape (B, 1, T).
            log_mel: as in `log_prob`.
        Returns:
            the distributions, differentiable in the waveform.
        """
        frames = self._frames(waveform, log_mel)
        params = self._params(self._residual(waveform, frames)[0], frames)
        if self.error_filter is None:
            nothing = torch.zeros_like(waveform)
            return Prediction(self.distribution, params, nothing, nothing)
        return Prediction(
            self.distribution, params, *self.error_filter.shift_and_log_scale(waveform, frames)
        )

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
        return self.prediction(waveform, log_mel).location_and_log_scale()

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
        step = self.config.frame_length
        chunk = self.config.hop_length * max(1, PIECE_SAMPLES // self.config.hop_length) // step
        choice = None if choice is None else self._folded(choice)
        pieces = draw_chunks(
            self.autoregressive, self._folded(noise), frames, choice, engine, chunk
        )
        yield from self._synthesised(pieces, frames)

    def _synthesised(self, pieces: Iterable[Tensor], frames: Tensor) -> Iterator[Tensor]:
        """Turn drawn frames of prediction errors (B, r, n) into waveforms (B, 1, n r)."""
        before: Tensor | None = None
        first = 0  # conditioning frame of a piece
        for piece in pieces:
            waveform = piece if self.fold is None else self.fold.inverse(piece)[0]
            if self.error_filter is not None:
                stop = first + waveform.shape[-1] // self.config.hop_length
                before = waveform[..., :0] if before is None else before
                within = frames[..., first:stop]
                waveform = self.error_filter.inverse_piece(waveform, within, before)
                before = torch.cat([before, waveform], -1)[..., -self.config.filter_order :]
                first = stop
            yield waveform

    def config_dict(self) -> dict[str, Any]:
        """Return the configuration as plain JSON values."""
        return dataclasses.asdict(self.config)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build an untrained teacher from what `config_dict` returned."""
        return cls(from_dict(TeacherConfig, config))

    def _residual(self, waveform: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the network reads, shape (B, r, T / r), and its log-determinant, (B,)."""
        log_det = waveform.new_zeros(waveform.shape[0])
        if self.error_filter is not None:
            waveform, log_det = self.error_filter(waveform, frames)
        return self._folded(waveform), log_det

    def _folded(self, signal: Tensor) -> Tensor:
        return signal if self.fold is None else self.fold(signal)[0]

    def _params(self, residual: Tensor, frames: Tensor) -> Tensor:
        """Return the network's parameters, shape (B, P, 1, T), for what it reads."""
        params: Tensor = self.wavenet(residual, frames)
        return params.transpose(2, 3).flatten(2)[:, :, None]

    def _frames(self, waveform: Tensor, log_mel: Tensor) -> Tensor:
        samples, hop = waveform.shape[-1], self.config.hop_length
        if samples % hop:
            raise ValueError(f"waveform has {samples} samples, expected a multiple of {hop}")
        with full_precision(log_mel):  # coefficients of the predictor come of it
            return self.context(log_mel, samples // hop)
