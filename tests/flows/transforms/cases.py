"""The cases of the conformance suite: every transform, small and in float64, with its data.

A new transform is added to `CASES`, and the suite tests it.
"""

from flows import (
    Additive,
    Affine,
    BoundedAffine,
    CausalConvolution,
    ContextFilter,
    ContextShift,
    Coupling,
    DiagonalScale,
    Elementwise,
    Fold,
    LinearLU,
    Made,
    MixtureCdf,
    Mlp,
    Permutation,
    PredictionErrorFilter,
    Rotation,
    ScaleShift,
    Triangular,
    alternating_mask,
    iaf,
    maf,
)
from tests.flows.transforms.case import Case
from tests.flows.transforms.composed_cases import COMPOSED_CASES
from tests.flows.transforms.networks import (
    CHANNELS,
    FEATURES,
    FRAMES,
    HIDDEN,
    LONG_TERM,
    NO_SKIP,
    PREDICTING,
    SAMPLES,
    SMALL,
    coupling,
    wavenet,
)

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
        lambda: maf(wavenet(SMALL, 1, 1), Additive()),
        (1, SAMPLES),
    ),
    Case(
        "maf_affine_signal_context",
        lambda: maf(wavenet(SMALL, 2, 1, HIDDEN), Affine()),
        (1, SAMPLES),
        (HIDDEN, FRAMES),
    ),
    Case(
        "maf_affine_folded_signal",
        lambda: maf(wavenet(NO_SKIP, 2, CHANNELS, HIDDEN), Affine()),
        (CHANNELS, SAMPLES),
        (HIDDEN, FRAMES),
    ),
    Case(
        "maf_affine_signal_linear_prediction",
        lambda: maf(wavenet(PREDICTING, 2, CHANNELS, HIDDEN), Affine()),
        (CHANNELS, SAMPLES),
        (HIDDEN, FRAMES),
    ),
    Case(
        "maf_affine_signal_unconditional_linear_prediction",
        lambda: maf(wavenet(PREDICTING, 2, 1), Affine()),
        (1, SAMPLES),
    ),
    Case(
        "iaf_affine_signal_context",
        lambda: iaf(wavenet(NO_SKIP, 2, 1, HIDDEN), Affine()),
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
        lambda: coupling(Additive(), SMALL, CHANNELS),
        (CHANNELS, SAMPLES),
    ),
    Case(
        "coupling_affine_signal_context",
        lambda: coupling(BoundedAffine(), NO_SKIP, 3, HIDDEN),
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
        lambda: maf(wavenet(NO_SKIP, 6, CHANNELS, HIDDEN), MixtureCdf(2, base="logistic")),
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
        lambda: maf(wavenet(LONG_TERM, 2, CHANNELS, HIDDEN), Affine()),
        (CHANNELS, SAMPLES),
        (HIDDEN, FRAMES),
    ),
    Case(
        "maf_affine_folded_signal_unconditional_long_term_prediction",
        lambda: maf(wavenet(LONG_TERM, 2, CHANNELS), Affine()),
        (CHANNELS, SAMPLES),
    ),
    Case(
        "maf_triangular_folded_signal_context",
        lambda: maf(wavenet(SMALL, 4, 3, HIDDEN), Triangular(3)),
        (3, SAMPLES),
        (HIDDEN, FRAMES),
    ),
    Case("context_filter", lambda: ContextFilter(3), (1, SAMPLES), (4, FRAMES)),
    *COMPOSED_CASES,
]
