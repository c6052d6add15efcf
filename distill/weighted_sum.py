"""The loss of a student: the weighted sum of the terms of its objective."""

import functools
import operator

from torch import Tensor

from distill.config import DistillationConfig

OF_EXCITATION = ("pitch", "voice")
"""Names of the terms of an excitation, which need no sample, and have a weight `NAME_weight`."""

OF_SAMPLE = (
    "power",
    "stft_power",
    "mel",
    "perceptual",
    "contrastive",
    "forward_kl",
    "adversarial",
)
"""Names of the terms of a sample that have a weight `NAME_weight`."""


def with_loss(
    terms: dict[str, Tensor], config: DistillationConfig, like: Tensor
) -> dict[str, Tensor]:
    """Add `loss`, the weighted sum of the terms, to the terms.

    Besides the terms that are named above, the KL with its regulariser and the spectral distance
    with its log-magnitude share one weight each, and the discriminators' own loss has weight 1.

    Args:
        terms: unweighted terms by name, scalars.
        config: weights of the terms.
        like: a tensor with the dtype and device of the loss, which is 0 if there are no terms.
    Returns:
        `loss`, then the terms.
    """
    excitation: list[Tensor] = []
    sample: list[Tensor] = []
    if "kl" in terms:
        kl = terms["kl"] + config.regulariser_weight * terms["log_scale_regulariser"]
        spectral = terms["spectral_convergence"] + terms["log_magnitude"]
        sample = [config.kl_weight * kl, config.spectral_weight * spectral]
    for part, names in ((excitation, OF_EXCITATION), (sample, OF_SAMPLE)):
        part += [getattr(config, f"{name}_weight") * terms[name] for name in names if name in terms]
    if "discriminator" in terms:
        sample.append(terms["discriminator"])
    # The order of the additions is fixed, so that the loss of a run never changes.
    sums = [functools.reduce(operator.add, part) for part in (excitation, sample) if part]
    return {"loss": functools.reduce(operator.add, sums or [like.new_zeros(())]), **terms}
