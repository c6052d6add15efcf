"""The shared flow core: transforms, their composition, densities and the causal network."""

from flows.autoregressive import Autoregressive, Conditioner, iaf, maf
from flows.context import FrameContext
from flows.density import Flow, StandardLogistic, StandardNormal
from flows.dequantize import Dequantize
from flows.made import Made
from flows.pretrained import ArtefactError, Pretrained
from flows.transform import Compose, Inverse, Transform
from flows.transformers import (
    LOG_SCALE_FLOOR,
    Additive,
    Affine,
    Swapped,
    Transformer,
    bound_log_scale,
    unbound_log_scale,
)
from flows.wavenet import WaveNet, WaveNetConfig
from flows.weight_norm import fold_weight_norm, folded_state

__all__ = [
    "LOG_SCALE_FLOOR",
    "Additive",
    "Affine",
    "ArtefactError",
    "Autoregressive",
    "Compose",
    "Conditioner",
    "Dequantize",
    "Flow",
    "FrameContext",
    "Inverse",
    "Made",
    "Pretrained",
    "StandardLogistic",
    "StandardNormal",
    "Swapped",
    "Transform",
    "Transformer",
    "WaveNet",
    "WaveNetConfig",
    "bound_log_scale",
    "fold_weight_norm",
    "folded_state",
    "iaf",
    "maf",
    "unbound_log_scale",
]
