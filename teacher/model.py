"""A mel-conditioned WaveNet with exact, parallel likelihood."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor

from flows import (
    LOG_SCALE_FLOOR,
    Affine,
    Autoregressive,
    Flow,
    FrameContext,
    Pretrained,
    StandardNormal,
    WaveNet,
    WaveNetConfig,
    maf,
)
from flows.config import from_dict


@dataclass(frozen=True, kw_only=True)
class TeacherConfig:
    """Size of a teacher.

    Args:
        num_mels: bands of the log-mel conditioning.
        hop_length: samples per mel frame.
        context_channels: width of the context network.
        context_margin: mel frames seen before and after each frame.
        wavenet: size of the causal network.
        log_scale_floor: lower bound of the log-scale, nats.
    """

    num_mels: int = 80
    hop_length: int = 256
    context_channels: int = 64
    context_margin: int = 2
    wavenet: WaveNetConfig = field(default_factory=WaveNetConfig)
    log_scale_floor: float = LOG_SCALE_FLOOR

    def __post_init__(self) -> None:
        for name in ("num_mels", "hop_length", "context_channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"teacher.{name} is {getattr(self, name)}, expected at least 1")


class Teacher(Pretrained):
    r"""A Gaussian WaveNet.

    .. math:: p(x \mid c) = \prod_t \mathcal{N}(x_t;\, \mu(x_{<t}, c),\, \sigma(x_{<t}, c)^2)

    As a flow it is a MAF: the likelihood of a whole waveform is one parallel pass, a sample is
    drawn step by step.

    References:
        WaveNet (van den Oord et al., 2016). arXiv:1609.03499
        ClariNet (Ping et al., 2019), sec. 3.1. arXiv:1807.07281
    """

    kind = "teacher"

    def __init__(self, config: TeacherConfig) -> None:
        super().__init__()
        self.config = config
        self.metadata: dict[str, Any] = {}
        self.context = FrameContext(config.num_mels, config.context_channels, config.context_margin)
        transformer = Affine(config.log_scale_floor)
        wavenet = WaveNet(
            config.wavenet, transformer.num_params, context_channels=config.context_channels
        )
        self.flow = Flow(StandardNormal(), maf(wavenet, transformer))

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
    def transformer(self) -> Affine:
        """The Gaussian of each sample, as a bijection."""
        assert isinstance(self.autoregressive.transformer, Affine)
        return self.autoregressive.transformer

    def set_statistics(self, mel_mean: Tensor, mel_std: Tensor, waveform_std: float) -> None:
        """Fit the untrained model to its corpus.

        Args:
            mel_mean: mean of each mel band, shape (num_mels,).
            mel_std: its standard deviation, shape (num_mels,).
            waveform_std: standard deviation of the samples.
        """
        self.context.set_statistics(mel_mean, mel_std)
        self.wavenet.set_statistics(waveform_std, math.log(waveform_std))

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

    def predict(self, waveform: Tensor, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """Return location and bounded log-scale of every sample given those before it.

        Args:
            waveform: shape (B, 1, T).
            log_mel: as in `log_prob`.
        Returns:
            location and log-scale, shape (B, 1, T) each; differentiable in the waveform.
        """
        params = self.wavenet(waveform, self._frames(waveform, log_mel))
        return self.transformer.split(params)

    @torch.no_grad()
    def sample(
        self,
        log_mel: Tensor,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        progress: Callable[..., Iterable[Tensor]] | None = None,
    ) -> Tensor:
        """Draw waveforms step by step from cached activations.

        Args:
            log_mel: shape (B, num_mels, L).
            temperature: factor on the noise of each sample.
            generator: source of randomness.
            progress: wraps the iterator of samples and is told their number as `total`, as tqdm.
        Returns:
            waveforms, shape (B, 1, L * hop_length); not clipped.
        """
        frames = self.context(log_mel, log_mel.shape[-1])
        shape = (log_mel.shape[0], 1, log_mel.shape[-1] * self.config.hop_length)
        z = self.flow.base.sample(log_mel.new_empty(shape), generator) * temperature
        steps: Iterable[Tensor] = (x for x, _ in self.autoregressive.inverse_steps(z, frames))
        if progress is not None:
            steps = progress(steps, total=shape[-1])
        return torch.stack(list(steps), -1)

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
