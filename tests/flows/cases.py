"""Every transform of the flow core, small and in float64, with data to test it on.

The conformance suite runs over `CASES`: a new transform is added here and is tested.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from flows import (
    Additive,
    Affine,
    Compose,
    Inverse,
    Made,
    Transform,
    WaveNet,
    WaveNetConfig,
    iaf,
    maf,
)

BATCH, FEATURES, CHANNELS, SAMPLES, FRAMES, HIDDEN = 2, 5, 2, 12, 3, 3


@dataclass(frozen=True)
class Case:
    """A transform, how to build it, and the shape of its data and context (without batch)."""

    name: str
    build: Callable[[], Transform]
    shape: tuple[int, ...]
    context_shape: tuple[int, ...] | None = None

    def make(self) -> tuple[Transform, Tensor, Tensor | None]:
        """Build the transform with weights far from its initial near-identity, data, context."""
        torch.manual_seed(0)
        transform = self.build().double()
        with torch.no_grad():
            for parameter in transform.parameters():
                parameter.add_(0.15 * torch.randn_like(parameter))
        x = torch.randn(BATCH, *self.shape, dtype=torch.float64)
        context = None
        if self.context_shape is not None:
            context = torch.randn(BATCH, *self.context_shape, dtype=torch.float64)
        return transform, x, context


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


def _wavenet(config: WaveNetConfig, num_params: int, channels: int, context: int = 0) -> WaveNet:
    return WaveNet(config, num_params, channels, context)


CASES = [
    Case("maf_additive_vector", lambda: maf(Made(FEATURES, 1, (16,)), Additive()), (FEATURES,)),
    Case("maf_affine_vector", lambda: maf(Made(FEATURES, 2, (16, 16)), Affine()), (FEATURES,)),
    Case(
        "maf_affine_vector_context",
        lambda: maf(Made(FEATURES, 2, (16,), context_features=3), Affine()),
        (FEATURES,),
        (3,),
    ),
    Case("iaf_affine_vector", lambda: iaf(Made(FEATURES, 2, (16,)), Affine()), (FEATURES,)),
    Case(
        "maf_additive_signal",
        lambda: maf(_wavenet(SMALL, 1, 1), Additive()),
        (1, SAMPLES),
    ),
    Case(
        "maf_affine_signal_context",
        lambda: maf(_wavenet(SMALL, 2, 1, HIDDEN), Affine()),
        (1, SAMPLES),
        (HIDDEN, FRAMES),
    ),
    Case(
        "maf_affine_folded_signal",
        lambda: maf(_wavenet(NO_SKIP, 2, CHANNELS, HIDDEN), Affine()),
        (CHANNELS, SAMPLES),
        (HIDDEN, FRAMES),
    ),
    Case(
        "maf_affine_signal_linear_prediction",
        lambda: maf(_wavenet(PREDICTING, 2, CHANNELS, HIDDEN), Affine()),
        (CHANNELS, SAMPLES),
        (HIDDEN, FRAMES),
    ),
    Case(
        "maf_affine_signal_unconditional_linear_prediction",
        lambda: maf(_wavenet(PREDICTING, 2, 1), Affine()),
        (1, SAMPLES),
    ),
    Case(
        "iaf_affine_signal_context",
        lambda: iaf(_wavenet(NO_SKIP, 2, 1, HIDDEN), Affine()),
        (1, SAMPLES),
        (HIDDEN, FRAMES),
    ),
    Case(
        "composition_of_maf_and_iaf",
        lambda: Compose(
            [maf(_wavenet(SMALL, 2, 1), Affine()), iaf(_wavenet(SMALL, 2, 1), Affine())]
        ),
        (1, SAMPLES),
    ),
    Case(
        "inverse_of_composition",
        lambda: Inverse(
            Compose(
                [maf(Made(FEATURES, 2, (8,)), Affine()), iaf(Made(FEATURES, 1, (8,)), Additive())]
            )
        ),
        (FEATURES,),
    ),
]
