"""Compositions of transforms, as cases of the conformance suite."""

from flows import (
    Additive,
    Affine,
    Compose,
    Fold,
    Inverse,
    Made,
    PredictionErrorFilter,
    Rotation,
    Triangular,
    gaussianization,
    glow_signal,
    iaf,
    iaf_stack,
    maf,
    maf_stack,
    nice,
    nice_signal,
    realnvp,
)
from tests.flows.transforms.case import Case
from tests.flows.transforms.networks import (
    CHANNELS,
    FEATURES,
    FRAMES,
    HIDDEN,
    LONG_TERM,
    NO_SKIP,
    SAMPLES,
    SMALL,
    wavenet,
)

COMPOSED_CASES = [
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
    Case(
        "frame_maf_with_predictor",
        lambda: Compose(
            [
                PredictionErrorFilter(3, 1, HIDDEN),
                Fold(CHANNELS),
                maf(wavenet(LONG_TERM, 1 + CHANNELS, CHANNELS, HIDDEN), Triangular(CHANNELS, -3.0)),
                Inverse(Fold(CHANNELS)),
            ]
        ),
        (1, CHANNELS * SAMPLES),
        (HIDDEN, FRAMES),
    ),
    Case(
        "composition_of_maf_and_iaf",
        lambda: Compose([maf(wavenet(SMALL, 2, 1), Affine()), iaf(wavenet(SMALL, 2, 1), Affine())]),
        (1, SAMPLES),
    ),
    Case(
        "iaf_of_frames_context",  # the frame student: a fold, steps over frames, a rotation between
        lambda: Compose(
            [
                Fold(2),
                iaf(wavenet(NO_SKIP, 2, 2, HIDDEN), Affine()),
                Inverse(Rotation(2)),
                iaf(wavenet(NO_SKIP, 2, 2, HIDDEN), Affine()),
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
