"""Normalizing flows: transforms, their composition, densities, networks and sampling engines."""

from typing import TYPE_CHECKING

import storage.cache_folders  # noqa: F401  # before anything imports numba
from storage.on_demand import on_demand

if TYPE_CHECKING:
    from dsp.cepstrum import cepstra_of, taps_from_cepstrum
    from flows.density import Flow, StandardLogistic, StandardNormal
    from flows.dequantize import Dequantize
    from flows.engines.choose import Engine, EngineError, choose_engine
    from flows.engines.cpu.chain import ChainWeights, CompiledChain
    from flows.engines.cpu.layout import threads_sharing
    from flows.engines.sequential import draw_chunks
    from flows.families import (
        iaf_stack,
        maf_stack,
        nice,
        realnvp,
    )
    from flows.gaussianization_stack import gaussianization
    from flows.initialisation import initialise
    from flows.logistic_mixture import (
        discretised_log_prob,
        fit_mixture,
        mixture_log_prob,
        mixture_log_std,
    )
    from flows.model_folder import ArtefactError
    from flows.networks.conditioning import FrameContext, check_conditioning, rows_in_words
    from flows.networks.gated import as_matrix, recompute_layers
    from flows.networks.made import Made
    from flows.networks.mlp import Mlp, NonCausalWaveNet
    from flows.networks.pitch_prediction import PitchPrediction, PitchPredictionConfig
    from flows.networks.wavenet import WaveNet
    from flows.networks.wavenet_config import WaveNetConfig
    from flows.networks.weight_norm import fold_weight_norm, folded_state, load_folded_state
    from flows.pretrained import Pretrained
    from flows.signal_families import glow_signal, nice_signal
    from flows.streaming_state import Past
    from flows.transforms.actnorm import DiagonalScale
    from flows.transforms.autoregressive import Autoregressive, Conditioner, iaf, maf
    from flows.transforms.base import Compose, Inverse, Transform
    from flows.transforms.context_shift import ContextShift
    from flows.transforms.convolution import CausalConvolution, ContextFilter
    from flows.transforms.coupling import (
        Coupling,
        CouplingNetwork,
        alternating_mask,
        half_mask,
    )
    from flows.transforms.elementwise import Elementwise
    from flows.transforms.fold import Fold
    from flows.transforms.mixing import LinearLU, Permutation, Rotation
    from flows.transforms.mixture import MixtureCdf
    from flows.transforms.prediction_error import PredictionErrorFilter
    from flows.transforms.transformers import (
        LOG_SCALE_FLOOR,
        Additive,
        Affine,
        BoundedAffine,
        BoundedScaleShift,
        ScaleShift,
        Transformer,
        bound_log_scale,
        limit_log_scale,
        unbound_log_scale,
    )
    from flows.transforms.triangular import Triangular
else:
    __getattr__ = on_demand(__name__)

__all__ = [
    "LOG_SCALE_FLOOR",
    "Additive",
    "Affine",
    "ArtefactError",
    "Autoregressive",
    "BoundedAffine",
    "BoundedScaleShift",
    "CausalConvolution",
    "ChainWeights",
    "CompiledChain",
    "Compose",
    "Conditioner",
    "ContextFilter",
    "ContextShift",
    "Coupling",
    "CouplingNetwork",
    "Dequantize",
    "DiagonalScale",
    "Elementwise",
    "Engine",
    "EngineError",
    "Flow",
    "Fold",
    "FrameContext",
    "Inverse",
    "LinearLU",
    "Made",
    "MixtureCdf",
    "Mlp",
    "NonCausalWaveNet",
    "Past",
    "Permutation",
    "PitchPrediction",
    "PitchPredictionConfig",
    "PredictionErrorFilter",
    "Pretrained",
    "Rotation",
    "ScaleShift",
    "StandardLogistic",
    "StandardNormal",
    "Transform",
    "Transformer",
    "Triangular",
    "WaveNet",
    "WaveNetConfig",
    "alternating_mask",
    "as_matrix",
    "bound_log_scale",
    "cepstra_of",
    "check_conditioning",
    "choose_engine",
    "discretised_log_prob",
    "draw_chunks",
    "fit_mixture",
    "fold_weight_norm",
    "folded_state",
    "gaussianization",
    "glow_signal",
    "half_mask",
    "iaf",
    "iaf_stack",
    "initialise",
    "limit_log_scale",
    "load_folded_state",
    "maf",
    "maf_stack",
    "mixture_log_prob",
    "mixture_log_std",
    "nice",
    "nice_signal",
    "realnvp",
    "recompute_layers",
    "rows_in_words",
    "taps_from_cepstrum",
    "threads_sharing",
    "unbound_log_scale",
]
