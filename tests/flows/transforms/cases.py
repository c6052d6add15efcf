"""Every transform of the flow core, small and in float64, with data to test it on.

The conformance suite runs over `CASES`: a new transform is added here and is tested.
"""

from flows import (
    Additive,
    Affine,
    BoundedAffine,
    CausalConvolution,
    Compose,
    ContextFilter,
    ContextShift,
    Coupling,
    DiagonalScale,
    Elementwise,
    Fold,
    Inverse,
    LinearLU,
    Made,
    MixtureCdf,
    Mlp,
    NonCausalWaveNet,
    Permutation,
    PitchPredictionConfig,
    PredictionErrorFilter,
    Rotation,
    ScaleShift,
    Transformer,
    Triangular,
    WaveNet,
    WaveNetConfig,
    alternating_mask,
    gaussianization,
    glow_signal,
    half_mask,
    iaf,
    iaf_stack,
    maf,
    maf_stack,
    nice,
    nice_signal,
    realnvp,
)
from flows.transforms.coupling import network_sizes
from tests.flows.transforms.case import Case

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


def _wavenet(config: WaveNetConfig, num_params: int, channels: int, context: int = 0) -> WaveNet:
    return WaveNet(config, num_params, channels, context)


def _coupling(
    transformer: Transformer, config: WaveNetConfig, channels: int, context: int = 0
) -> Coupling:
    mask = half_mask(channels)
    sizes = network_sizes(mask, transformer)
    return Coupling(transformer, NonCausalWaveNet(config, *sizes, context), mask)


CASES = [
    Case("maf_additive_vector", lambda: maf(Made(FEATURES, 1, (16,)), Additive()), (FEATURES,)),
    Case("maf_affine_vector", lambda: maf(Made(FEATURES, 2, (16, 16)), Affine()), (FEATURES,)),
    Case(
        "maf_scale_shift_vector", lambda: maf(Made(FEATURES, 2, (16,)), ScaleShift()), (FEATURES,)
    ),
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
        "coupling_additive_vector",
        lambda: Coupling(Additive(), Mlp(3, 1, 2, (16,)), alternating_mask(FEATURES)),
        (FEATURES,),
    ),
    Case(
        "coupling_affine_vector_context",
        lambda: Coupling(
            BoundedAffine(),
            Mlp(2, 2, 3, (16, 16), context_features=3),
            alternating_mask(FEATURES, odd=True),
        ),
        (FEATURES,),
        (3,),
    ),
    Case(
        "coupling_additive_signal",
        lambda: _coupling(Additive(), SMALL, CHANNELS),
        (CHANNELS, SAMPLES),
    ),
    Case(
        "coupling_affine_signal_context",
        lambda: _coupling(BoundedAffine(), NO_SKIP, 3, HIDDEN),
        (3, SAMPLES),
        (HIDDEN, FRAMES),
    ),
    Case(
        "fold",
        lambda: Fold(4, CHANNELS),
        (CHANNELS, SAMPLES),
        noise_shape=(4 * CHANNELS, SAMPLES // 4),
        ignores_context=True,
    ),
    Case(
        "diagonal_scale_vector", lambda: DiagonalScale(FEATURES), (FEATURES,), ignores_context=True
    ),
    Case(
        "diagonal_scale_and_shift_signal",
        lambda: DiagonalScale(CHANNELS, shift=True),
        (CHANNELS, SAMPLES),
        ignores_context=True,
    ),
    Case(
        "maf_mixture_vector",
        lambda: maf(Made(FEATURES, 9, (16,)), MixtureCdf(3)),
        (FEATURES,),
    ),
    Case(
        "maf_mixture_logistic_base_signal_context",
        lambda: maf(_wavenet(NO_SKIP, 6, CHANNELS, HIDDEN), MixtureCdf(2, base="logistic")),
        (CHANNELS, SAMPLES),
        (HIDDEN, FRAMES),
    ),
    Case("iaf_mixture_vector", lambda: iaf(Made(FEATURES, 9, (16,)), MixtureCdf(3)), (FEATURES,)),
    Case(
        "elementwise_affine_vector",
        lambda: Elementwise(Affine(), FEATURES),
        (FEATURES,),
        ignores_context=True,
    ),
    Case(
        "elementwise_mixture_vector",
        lambda: Elementwise(MixtureCdf(4), FEATURES),
        (FEATURES,),
        ignores_context=True,
    ),
    Case(
        "elementwise_mixture_signal",
        lambda: Elementwise(MixtureCdf(3), CHANNELS),
        (CHANNELS, SAMPLES),
        ignores_context=True,
    ),
    Case(
        "permutation_vector",
        lambda: Permutation.random(FEATURES, seed=1),
        (FEATURES,),
        ignores_context=True,
    ),
    Case(
        "permutation_signal",
        lambda: Permutation.reversed(CHANNELS),
        (CHANNELS, SAMPLES),
        ignores_context=True,
    ),
    Case("rotation_vector", lambda: Rotation(FEATURES), (FEATURES,), ignores_context=True),
    Case("rotation_signal", lambda: Rotation(CHANNELS), (CHANNELS, SAMPLES), ignores_context=True),
    Case("linear_lu_vector", lambda: LinearLU(FEATURES), (FEATURES,), ignores_context=True),
    Case(
        "invertible_conv_signal",
        lambda: LinearLU(CHANNELS),
        (CHANNELS, SAMPLES),
        ignores_context=True,
    ),
    Case(
        "gaussianization_vector",
        lambda: gaussianization(FEATURES, num_layers=2, num_components=3),
        (FEATURES,),
        ignores_context=True,
    ),
    Case(
        "gaussianization_signal",
        lambda: gaussianization(CHANNELS, num_layers=2, num_components=3),
        (CHANNELS, SAMPLES),
        ignores_context=True,
    ),
    Case("nice", lambda: nice(FEATURES, 3, (16,)), (FEATURES,)),
    Case("nice_context", lambda: nice(FEATURES, 2, (16,), context_features=3), (FEATURES,), (3,)),
    Case("realnvp", lambda: realnvp(FEATURES, 3, (16,)), (FEATURES,)),
    Case(
        "realnvp_permuted_context",
        lambda: realnvp(FEATURES, 2, (16,), context_features=3, permute=True),
        (FEATURES,),
        (3,),
    ),
    Case("maf_stack", lambda: maf_stack(FEATURES, 3, (16,)), (FEATURES,)),
    Case("maf_stack_narrow", lambda: maf_stack(FEATURES, 2, (3, 4)), (FEATURES,)),
    Case("maf_stack_mixture", lambda: maf_stack(FEATURES, 2, (16,), 3, 3), (FEATURES,), (3,)),
    Case("iaf_stack", lambda: iaf_stack(FEATURES, 2, (16,), 3), (FEATURES,), (3,)),
    Case(
        "glow_signal_context",
        lambda: glow_signal(4, 2, NO_SKIP, HIDDEN),
        (1, SAMPLES),
        (HIDDEN, FRAMES),
    ),
    Case(
        "nice_signal", lambda: nice_signal(2, 3, SMALL, num_channels=CHANNELS), (CHANNELS, SAMPLES)
    ),
    Case("causal_convolution", lambda: CausalConvolution(4, CHANNELS), (CHANNELS, SAMPLES)),
    Case(
        "causal_convolution_context",
        lambda: CausalConvolution(3, CHANNELS, HIDDEN),
        (CHANNELS, SAMPLES),
        (HIDDEN, FRAMES),
    ),
    Case("context_shift", lambda: ContextShift(2), (1, SAMPLES), (2, SAMPLES // 2)),
    Case("context_gain", lambda: ContextShift(2, 0.3), (1, SAMPLES), (2, SAMPLES // 2)),
    Case(
        "prediction_error_filter",
        lambda: PredictionErrorFilter(4, CHANNELS),
        (CHANNELS, SAMPLES),
    ),
    Case(
        "prediction_error_filter_context",
        lambda: PredictionErrorFilter(3, CHANNELS, HIDDEN),
        (CHANNELS, SAMPLES),
        (HIDDEN, FRAMES),
    ),
    Case(
        "maf_affine_folded_signal_long_term_prediction",
        lambda: maf(_wavenet(LONG_TERM, 2, CHANNELS, HIDDEN), Affine()),
        (CHANNELS, SAMPLES),
        (HIDDEN, FRAMES),
    ),
    Case(
        "maf_affine_folded_signal_unconditional_long_term_prediction",
        lambda: maf(_wavenet(LONG_TERM, 2, CHANNELS), Affine()),
        (CHANNELS, SAMPLES),
    ),
    Case(
        "maf_triangular_folded_signal_context",
        lambda: maf(_wavenet(SMALL, 4, 3, HIDDEN), Triangular(3)),
        (3, SAMPLES),
        (HIDDEN, FRAMES),
    ),
    Case(
        "frame_maf_with_predictor",
        lambda: Compose(
            [
                PredictionErrorFilter(3, 1, HIDDEN),
                Fold(CHANNELS),
                maf(
                    _wavenet(LONG_TERM, 1 + CHANNELS, CHANNELS, HIDDEN), Triangular(CHANNELS, -3.0)
                ),
                Inverse(Fold(CHANNELS)),
            ]
        ),
        (1, CHANNELS * SAMPLES),
        (HIDDEN, FRAMES),
    ),
    Case("context_filter", lambda: ContextFilter(3), (1, SAMPLES), (4, FRAMES)),
    Case(
        "composition_of_maf_and_iaf",
        lambda: Compose(
            [maf(_wavenet(SMALL, 2, 1), Affine()), iaf(_wavenet(SMALL, 2, 1), Affine())]
        ),
        (1, SAMPLES),
    ),
    Case(
        "iaf_of_frames_context",  # the frame student: a fold, steps over frames, a rotation between
        lambda: Compose(
            [
                Fold(2),
                iaf(_wavenet(NO_SKIP, 2, 2, HIDDEN), Affine()),
                Inverse(Rotation(2)),
                iaf(_wavenet(NO_SKIP, 2, 2, HIDDEN), Affine()),
                Inverse(Fold(2)),
            ]
        ),
        (1, SAMPLES),
        (HIDDEN, FRAMES),
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
