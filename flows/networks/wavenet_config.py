"""Size of a causal WaveNet, as values."""

from dataclasses import dataclass, field

from flows.networks.pitch_prediction import PitchPredictionConfig


@dataclass(frozen=True, kw_only=True)
class WaveNetConfig:
    """Size of a causal WaveNet.

    Args:
        num_layers: gated residual layers.
        layers_per_cycle: dilation doubles from 1 within a cycle, then starts again.
        kernel_size: taps of each dilated convolution.
        residual_channels: width of the residual path and of each gate half.
        skip_channels: width of the summed skip connections; 0 reads the last residual instead, as
            Parallel WaveNet's student does.
        prediction_order: past samples of a linear predictor, with coefficients from the context,
            whose output is added to the locations, and which the network reads with its last
            error, as LPCNet's does; 0 for none, as in the papers.
        pitch: lags of a long-term predictor in place of the linear one, for a signal folded into
            frames; none, as in the papers, where `longest_lag` is 0.
    """

    num_layers: int = 20
    layers_per_cycle: int = 10
    kernel_size: int = 2
    residual_channels: int = 64
    skip_channels: int = 64
    prediction_order: int = 0
    pitch: PitchPredictionConfig = field(default_factory=PitchPredictionConfig)

    def __post_init__(self) -> None:
        bounds = {
            "num_layers": (1, 1000),
            "layers_per_cycle": (1, 24),
            "kernel_size": (2, 1000),
            "residual_channels": (1, 65536),
            "skip_channels": (0, 65536),
            "prediction_order": (0, 4096),
        }
        for name, (least, most) in bounds.items():
            value = getattr(self, name)
            if value < least:
                raise ValueError(f"wavenet.{name} is {value}, expected at least {least}")
            if value > most:
                raise ValueError(f"wavenet.{name} is {value}, expected at most {most}")
        if self.prediction_order and self.pitch.longest_lag:
            raise ValueError(
                f"wavenet.prediction_order is {self.prediction_order}, expected 0 where "
                f"wavenet.pitch.longest_lag is {self.pitch.longest_lag}"
            )

    @property
    def dilations(self) -> tuple[int, ...]:
        """Dilation of each layer, in samples."""
        return tuple(2 ** (i % self.layers_per_cycle) for i in range(self.num_layers))

    @property
    def predicts(self) -> bool:
        """Whether the network reads a prediction, which is added to the locations, too."""
        return self.prediction_order > 0 or self.pitch.longest_lag > 0

    @property
    def receptive_field(self) -> int:
        """Past steps that the parameters of a step can depend on, a long-term predictor's apart."""
        # The network reads the error of the last prediction, which reads `prediction_order` more.
        return 1 + self.prediction_order + (self.kernel_size - 1) * sum(self.dilations)
