"""Small networks and sizes for the conformance suite."""

from flows import (
    Coupling,
    NonCausalWaveNet,
    PitchPredictionConfig,
    Transformer,
    WaveNet,
    WaveNetConfig,
    half_mask,
)
from flows.transforms.coupling import network_sizes

FEATURES, CHANNELS, SAMPLES, FRAMES, HIDDEN = 5, 2, 12, 3, 3

SMALL = WaveNetConfig(
    num_layers=2, layers_per_cycle=2, kernel_size=2, residual_channels=6, skip_channels=8
)
NO_SKIP = WaveNetConfig(
    num_layers=3,
    layers_per_cycle=2,
    kernel_size=3,
    residual_channels=8,
    skip_channels=0,
)
PREDICTING = WaveNetConfig(
    num_layers=2,
    layers_per_cycle=2,
    kernel_size=2,
    residual_channels=6,
    skip_channels=8,
    prediction_order=3,
)
LONG_TERM = WaveNetConfig(
    num_layers=2,
    layers_per_cycle=2,
    kernel_size=2,
    residual_channels=6,
    skip_channels=8,
    pitch=PitchPredictionConfig(longest_lag=6, shortest_lag=3, update=4),
)


def wavenet(config: WaveNetConfig, num_params: int, channels: int, context: int = 0) -> WaveNet:
    return WaveNet(config, num_params, channels, context)


def coupling(
    transformer: Transformer, config: WaveNetConfig, channels: int, context: int = 0
) -> Coupling:
    mask = half_mask(channels)
    sizes = network_sizes(mask, transformer)
    return Coupling(transformer, NonCausalWaveNet(config, *sizes, context), mask)
