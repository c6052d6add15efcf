"""The configuration of a causal WaveNet's size."""

from dataclasses import dataclass, field

from flows.networks.pitch_prediction import PitchPredictionConfig


@dataclass(frozen=True, kw_only=True)
class WaveNetConfig:
    """Size of a causal WaveNet.

    Args:
        num_layers: gated residual layers.
        layers_per_cycle: layers in a cycle; the dilation doubles from layer to layer, and starts at
            1 in every cycle.
        kernel_size: taps of each dilated convolution.
        residual_channels: width of the residual path and of each gate half.
        skip_channels: width of the summed skip connections; with 0 the head reads the last residual
            instead, as in Parallel WaveNet's student.
        prediction_order: number of past samples that a linear predictor reads; its coefficients
            come from the context. The prediction is added to the locations. The network reads the
            prediction and its last error, as in LPCNet. 0 for no predictor, as in the papers.
        pitch: lags of a long-term predictor, which takes the linear predictor's place for a signal
            folded into frames; `longest_lag` 0 for no predictor, as in the papers.
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
        """Whether the network has a predictor, linear or long-term."""
        return self.prediction_order > 0 or self.pitch.longest_lag > 0

    @property
    def receptive_field(self) -> int:
        """Number of past steps that a step's parameters can depend on, without the long-term
        predictor's past.
        """
        # The oldest input is the error of a prediction, which reads `prediction_order` steps more.
        return 1 + self.prediction_order + (self.kernel_size - 1) * sum(self.dilations)
