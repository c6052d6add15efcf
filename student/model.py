"""A mel-conditioned stack of inverse autoregressive flows: noise in, waveform out, in parallel."""

import dataclasses
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import torch
from torch import Tensor

from flows import (
    LOG_SCALE_FLOOR,
    Affine,
    CausalConvolution,
    Compose,
    Engine,
    Flow,
    FrameContext,
    Inverse,
    Pretrained,
    StandardLogistic,
    StandardNormal,
    Transform,
    WaveNet,
    WaveNetConfig,
    iaf,
    unbound_log_scale,
)
from flows.config import from_dict
from flows.density import check_temperature
from student.rendering import Renderer, draw_frames, in_pieces

BASES: dict[str, type[StandardNormal] | type[StandardLogistic]] = {
    "gaussian": StandardNormal,
    "logistic": StandardLogistic,
}


@dataclass(frozen=True, kw_only=True)
class StudentConfig:
    """Size of a student.

    Args:
        num_mels: bands of the log-mel conditioning.
        hop_length: samples per mel frame.
        context_channels: width of the context network.
        context_margin: mel frames seen before and after each frame.
        flow_layers: layers of each flow's network, noise side first; Parallel WaveNet has
            10, 10, 10, 30, ClariNet six flows of 10.
        layers_per_cycle: dilation doubles from 1 within a cycle, then starts again.
        kernel_size: taps of each dilated convolution.
        residual_channels: width of every network.
        filter_order: taps of a causal filter after the last flow, whose log-spectrum is linear in
            the context; 0 for none, as in the papers.
        initial_std: standard deviation of the untrained student's samples; the training
            pipeline sets it from the corpus.
        log_scale_floor: lower bound of each flow's log-scale, nats.
        base: distribution of the noise, and of each sample given earlier noise: "gaussian" as in
            ClariNet, or "logistic" as in Parallel WaveNet.
    """

    num_mels: int = 80
    hop_length: int = 256
    context_channels: int = 64
    context_margin: int = 2
    flow_layers: tuple[int, ...] = (10, 10, 10, 30)
    layers_per_cycle: int = 10
    kernel_size: int = 3
    residual_channels: int = 64
    filter_order: int = 0
    initial_std: float = 0.1
    log_scale_floor: float = LOG_SCALE_FLOOR
    base: Literal["gaussian", "logistic"] = "gaussian"

    def __post_init__(self) -> None:
        if self.base not in BASES:
            raise ValueError(
                f"student.base is {self.base!r}, expected one of {', '.join(map(repr, BASES))}"
            )
        for name in ("num_mels", "hop_length", "context_channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"student.{name} is {getattr(self, name)}, expected at least 1")
        if self.filter_order < 0:
            raise ValueError(f"student.filter_order is {self.filter_order}, expected at least 0")
        if not self.flow_layers:
            raise ValueError("student.flow_layers is empty, expected one number of layers per flow")
        least = BASES[self.base].std * math.exp(self.log_scale_floor)
        if not self.initial_std > least:
            raise ValueError(
                f"student.initial_std is {self.initial_std}, expected more than {least:.2g}, that "
                "of the scale's floor"
            )

    @property
    def wavenets(self) -> tuple[WaveNetConfig, ...]:
        """Size of each flow's network, noise side first."""
        return tuple(
            WaveNetConfig(
                num_layers=layers,
                layers_per_cycle=self.layers_per_cycle,
                kernel_size=self.kernel_size,
                residual_channels=self.residual_channels,
                skip_channels=0,
            )
            for layers in self.flow_layers
        )


class StudentSample(NamedTuple):
    """A differentiable sample and its own distribution, step by step."""

    waveform: Tensor
    """x, shape (B, 1, T)."""
    loc: Tensor
    """Location of x_t given z_<t, its mean, shape (B, 1, T)."""
    log_scale: Tensor
    """Log-scale of x_t given z_<t in nats, shape (B, 1, T)."""
    flow_log_scales: tuple[Tensor, ...]
    """Each flow's own log-scale, noise side first, shape (B, 1, T) each; a filter's log-gain is the
    last."""
    base: StandardNormal | StandardLogistic
    """What x_t given z_<t is, shifted and scaled."""


class Student(Pretrained):
    r"""An inverse autoregressive flow.

    .. math:: x^{(k)}_t = x^{(k-1)}_t\, e^{s_k} + \mu_k, \qquad
              s_k, \mu_k \text{ from } x^{(k-1)}_{<t} \text{ and } c, \qquad x^{(0)} = z

    Given z_<t the sample x_t is Gaussian, or logistic, as the noise is, with log-scale
    :math:`\sum_k s_k` and a location accumulated the same way: its entropy is known, and between
    Gaussians the KL to the teacher has a closed form. A causal filter after the last flow (the
    inverse of a convolutional flow) leaves it what it is.

    References:
        Parallel WaveNet (van den Oord et al., 2018), eq. 4-6. arXiv:1711.10433
        ClariNet (Ping et al., 2019), sec. 3.2. arXiv:1807.07281
    """

    kind = "student"

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.config = config
        self.metadata: dict[str, Any] = {}
        self.context = FrameContext(config.num_mels, config.context_channels, config.context_margin)
        self.transformer = Affine(config.log_scale_floor)
        networks = [
            WaveNet(size, self.transformer.num_params, context_channels=config.context_channels)
            for size in config.wavenets
        ]
        steps: list[Transform] = [iaf(network, self.transformer) for network in networks]
        filters = []
        if config.filter_order:
            filters = [
                CausalConvolution(config.filter_order, context_channels=config.context_channels)
            ]
        steps += [Inverse(filter) for filter in filters]
        # Compose runs from data to noise: the last step of sampling comes first.
        self.flow = Flow(BASES[config.base](), Compose(reversed(steps)))
        # Registered inside the flow; noise side first.
        self._networks = networks
        self._filters = filters  # one or none
        self.set_initial_std(config.initial_std)

    @property
    def receptive_field(self) -> int:
        """Past noise samples that a sample's own distribution depends on."""
        networks = sum(size.receptive_field for size in self.config.wavenets)
        return networks + self.config.filter_order

    def set_statistics(self, mel_mean: Tensor, mel_std: Tensor, waveform_std: float) -> None:
        """Fit the untrained model to its corpus.

        Args:
            mel_mean: mean of each mel band, shape (num_mels,).
            mel_std: its standard deviation, shape (num_mels,).
            waveform_std: standard deviation of the samples; fresh samples get it, too, from the
                last flow's log-scale.
        """
        self.context.set_statistics(mel_mean, mel_std)
        self.set_initial_std(waveform_std)

    def set_initial_std(self, std: float) -> None:
        """Set the last flow's log-scale bias so that fresh samples have this deviation."""
        log_scale = math.log(std / self.flow.base.std)
        raw = unbound_log_scale(log_scale, self.config.log_scale_floor)
        self._networks[-1].set_statistics(1.0, torch.tensor([0.0, raw]))

    def forward(self, z: Tensor, log_mel: Tensor) -> StudentSample:
        """Turn noise into a waveform and return the sample's own distribution with it.

        Args:
            z: noise from `flow.base`, shape (B, 1, T), T a multiple of hop_length.
            log_mel: shape (B, num_mels, T / hop_length), or with `context_margin` true frames more
                on each side.
        Returns:
            sample, location and log-scale; see `StudentSample`.
        Raises:
            ValueError: if the shapes do not fit each other.
        """
        samples, hop = z.shape[-1], self.config.hop_length
        if samples % hop:
            raise ValueError(f"noise has {samples} samples, expected a multiple of {hop}")
        frames = self.context(log_mel, samples // hop)
        x, loc = z, torch.zeros_like(z)
        log_scales = []
        for step in [*self._networks, *self._filters]:
            if isinstance(step, CausalConvolution):
                shift, log_scale = step.shift_and_log_scale(x, frames)
            else:
                shift, log_scale = self.transformer.split(step(x, frames))
            scale = log_scale.exp()
            x, loc = x * scale + shift, loc * scale + shift
            log_scales.append(log_scale)
        log_scale = torch.stack(log_scales).sum(0)
        return StudentSample(x, loc, log_scale, tuple(log_scales), self.flow.base)

    def sample(
        self,
        log_mel: Tensor,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        engine: Engine = "auto",
    ) -> Tensor:
        """Draw waveforms.

        Args:
            log_mel: shape (B, num_mels, L).
            temperature: factor on the noise.
            generator: source of randomness.
            engine: "compiled", "torch", or "auto": compiled where it applies; see
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
        """Draw a waveform as its conditioning comes in, in memory that does not grow with it.

        A sample comes out as soon as the conditioning frames that it depends on have come in: the
        latency is `context_margin` frames of look-ahead and the frame itself, besides the time of
        computing. The same seed gives the same waveform, to float rounding, however the frames are
        put together.

        Args:
            log_mels: consecutive frames, shape (B, num_mels, n) each, any n.
            temperature: factor on the noise.
            generator: source of randomness.
            engine: as in `sample`.
        Yields:
            consecutive pieces of the waveform, shape (B, 1, m * hop_length) each; not clipped.
        Raises:
            ValueError: if a shape does not fit, or there are no frames at all.
        """
        check_temperature(temperature)
        hop, renderer = self.config.hop_length, None
        dtype = next(self.parameters()).dtype  # of the noise, whatever autocast makes of the frames
        for frames in in_pieces(self.context.stream(log_mels)):
            frames = frames.to(dtype)
            if renderer is None:
                renderer = Renderer(
                    self._networks, self.transformer, self._filters, frames, hop, engine
                )
            noise = draw_frames(self.flow.base, frames, frames.shape[-1], hop, generator)
            yield renderer(noise * temperature, frames)

    def encode(self, waveform: Tensor, log_mel: Tensor) -> Tensor:
        """Recover the noise behind a waveform, step by step: the slow direction of an IAF.

        Args:
            waveform: shape (B, 1, T).
            log_mel: as in `forward`.
        Returns:
            noise, shape (B, 1, T).
        """
        frames = self.context(log_mel, waveform.shape[-1] // self.config.hop_length)
        return self.flow.transform(waveform, frames)[0]

    def config_dict(self) -> dict[str, Any]:
        """Return the configuration as plain JSON values."""
        return dataclasses.asdict(self.config)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build an untrained student from what `config_dict` returned."""
        return cls(from_dict(StudentConfig, config))
