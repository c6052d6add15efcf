"""Distance between waveforms, measured on the features of a frozen network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from flows.precision import full_precision
from teacher import Teacher

FEATURE_FLOOR = 1e-8
"""Smallest mean square of a reference's features; it bounds the denominator of the distance."""


@dataclass(frozen=True, kw_only=True)
class PerceptualConfig:
    """Network and distance of the perceptual term.

    Args:
        network: "teacher" (the layers of the teacher, with the clip's context) or "crepe" (a pitch
            tracker of package torchcrepe, extra `perceptual`).
        distance: "style" compares the correlations of features, averaged over time. "feature"
            compares the features at each time, so that a sample must also have the recording's
            phases.
        crepe_capacity: size of CREPE, "tiny" or "full".
    """

    network: Literal["teacher", "crepe"] = "teacher"
    distance: Literal["style", "feature"] = "style"
    crepe_capacity: Literal["tiny", "full"] = "tiny"

    def __post_init__(self) -> None:
        for name, known in (
            ("network", ("teacher", "crepe")),
            ("distance", ("style", "feature")),
            ("crepe_capacity", ("tiny", "full")),
        ):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"perceptual.{name} is {getattr(self, name)!r}, expected one of "
                    f"{', '.join(map(repr, known))}"
                )


class FeatureNetwork(Protocol):
    """A frozen network that returns the features of its layers."""

    def __call__(self, waveform: Tensor, log_mel: Tensor) -> list[Tensor]:
        """Return each layer's features.

        Args:
            waveform: shape (B, 1, T).
            log_mel: the clip's conditioning; some networks ignore it.
        Returns:
            features, shape (B, C, N) each, where C and N depend on the layer; differentiable in the
            waveform.
        """


class TeacherFeatures:
    """The values of a teacher's residual path after each layer, as features.

    The teacher was trained to predict the next sample, or the next frame of prediction errors. So
    its features show what matters for that prediction.

    Args:
        teacher: frozen.
    """

    def __init__(self, teacher: Teacher) -> None:
        self.teacher = teacher

    def __call__(self, waveform: Tensor, log_mel: Tensor) -> list[Tensor]:
        """Return the residual path after each layer; see `FeatureNetwork`.

        The shape is (B, R, T / r), where the teacher has R residual channels and frames of r
        samples.
        """
        found: list[Tensor] = []

        def record(module: Any, arguments: Any, output: tuple[Tensor, Tensor]) -> None:
            found.append(output[0])

        hooks = [layer.register_forward_hook(record) for layer in self.teacher.wavenet.layers]
        try:
            # Features in bfloat16 have not been measured.
            with full_precision(waveform):
                self.teacher.prediction(waveform, log_mel)
        finally:
            for hook in hooks:
                hook.remove()
        return found


def gram_matrix(features: Tensor) -> Tensor:
    r"""Correlate channels over time.

    .. math:: G_{ij} = \frac1N \sum_n F_{in} F_{jn}

    Args:
        features: shape (B, C, N).
    Returns:
        Gram matrices G, shape (B, C, C).
    """
    return features @ features.transpose(1, 2) / features.shape[2]


def style_distance(
    sample: Sequence[Tensor],
    recording: Sequence[Tensor],
    total: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    r"""Return the relative squared distance of Gram matrices, averaged over layers.

    .. math:: \frac1L \sum_l \frac{\lVert G_l(\hat x) - G_l(x) \rVert^2}{\lVert G_l(x) \rVert^2}

    The distance does not depend on phase, nor on the times of events in the clip.

    Args:
        sample: features of the generated waveform, shape (B, C, N) each.
        recording: features of the reference waveform, shape (B, C, N) each.
        total: see `multi_resolution_stft`.
    Returns:
        distance, scalar.
    References:
        A neural algorithm of artistic style (Gatys et al., 2015). arXiv:1508.06576
        Parallel WaveNet (van den Oord et al., 2018), sec. 4, perceptual loss. arXiv:1711.10433
    """
    return feature_distance(
        [gram_matrix(features) for features in sample],
        [gram_matrix(features) for features in recording],
        total,
    )


def feature_distance(
    sample: Sequence[Tensor],
    recording: Sequence[Tensor],
    total: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Return the relative squared distance of features, averaged over layers.

    The arguments are those of `style_distance`.

    Raises:
        ValueError: if there are no features, or their shapes differ.
    """
    shapes = [[tuple(features.shape) for features in part] for part in (sample, recording)]
    if not sample or shapes[0] != shapes[1]:
        raise ValueError(f"features have shapes {shapes[0]} and {shapes[1]}, expected equal ones")
    distances = []
    for found, wanted in zip(sample, recording, strict=True):
        error, power = (found - wanted).square().sum(), wanted.square().sum()
        count = power.new_tensor(wanted.numel())
        if total is not None:
            error, power, count = total(torch.stack([error, power, count]))
        distances.append(error / torch.maximum(power, FEATURE_FLOOR * count))
    return torch.stack(distances).mean()


DISTANCES = {"style": style_distance, "feature": feature_distance}
