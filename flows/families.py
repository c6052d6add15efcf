"""The families of flows over vectors.

`family_config` completes a configuration with the family's defaults, and `build_family` builds its
transform. Further functions build each family without a configuration.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from flows.gaussianization_stack import gaussianization
from flows.networks.made import Made
from flows.networks.mlp import Mlp
from flows.transforms.actnorm import DiagonalScale
from flows.transforms.autoregressive import iaf, maf
from flows.transforms.base import Compose, Transform
from flows.transforms.coupling import Coupling, alternating_mask, half_mask, network_sizes
from flows.transforms.elementwise import identity_params
from flows.transforms.mixing import Permutation
from flows.transforms.mixture import MixtureCdf
from flows.transforms.transformers import (
    LOG_SCALE_LIMIT,
    Additive,
    BoundedAffine,
    BoundedScaleShift,
    ScaleShift,
    Transformer,
)
from storage.configuration import nearest_name


@dataclass(frozen=True)
class FamilyDefaults:
    """A family's default sizes; a size of 0 or () means that the family does not have the part.

    Args:
        num_layers: number of layers.
        hidden: width of each hidden layer of each network.
        num_components: number of logistics per scalar.
        log_scale_limit: largest |log-scale| of a feature through all layers together, nats.
        least_features: smallest D that the family can transform.
        takes_context: whether the family can be conditional.
    """

    num_layers: int
    hidden: tuple[int, ...] = ()
    num_components: int = 0
    log_scale_limit: float = 0.0
    least_features: int = 1
    takes_context: bool = True


FAMILIES = {
    "nice": FamilyDefaults(num_layers=6, hidden=(128, 128), least_features=2),
    # RealNVP has constant scales between its layers, too; MAF has none, and needs a higher limit.
    "realnvp": FamilyDefaults(6, (128, 128), log_scale_limit=3.0, least_features=2),
    "maf": FamilyDefaults(5, (128, 128), log_scale_limit=7.0),
    "maf_mixture": FamilyDefaults(num_layers=3, hidden=(128, 128), num_components=8),
    "iaf": FamilyDefaults(num_layers=5, hidden=(128, 128)),
    "gaussianization": FamilyDefaults(num_layers=8, num_components=8, takes_context=False),
}


@dataclass(frozen=True, kw_only=True)
class FamilyConfig:
    """A family of flows over vectors, and its size.

    Args:
        family: one of `FAMILIES`.
        num_features: D.
        num_layers: number of layers; for nice and realnvp, the couplings.
        hidden: width of each hidden layer of each network; empty for gaussianization, which has no
            networks.
        num_components: logistics per scalar, for maf_mixture and gaussianization; 0 for the other
            families.
        context_features: size E of a context (B, E); 0 for none.
        log_scale_limit: see `realnvp` and `maf_stack`; 0 for models made before this limit existed.
    Raises:
        ValueError: if the family is unknown, if a size is too small, or if a size is given for a
            part that the family does not have.
    """

    family: str
    num_features: int
    num_layers: int
    hidden: tuple[int, ...] = ()
    num_components: int = 0
    context_features: int = 0
    log_scale_limit: float = 0.0

    def __post_init__(self) -> None:
        own = family_defaults(self.family)
        minimum = {
            "num_features": own.least_features,
            "num_layers": 1,
            "num_components": min(own.num_components, 1),
            "context_features": 0,
            "log_scale_limit": 0,
        }
        for field, least in minimum.items():
            value = getattr(self, field)
            if not least <= value < math.inf:
                raise ValueError(f"{self.family}: {field} is {value}, expected at least {least}")
        if own.hidden and (not self.hidden or min(self.hidden) < 1):
            raise ValueError(
                f"{self.family}: hidden is {self.hidden}, expected at least one width of at least 1"
            )
        unused = {
            "hidden": not own.hidden,
            "num_components": not own.num_components,
            "context_features": not own.takes_context,
            "log_scale_limit": not own.log_scale_limit,
        }
        for field, is_unused in unused.items():
            if is_unused and getattr(self, field):
                raise ValueError(
                    f"{self.family}: {field} is {getattr(self, field)}, but the family has none"
                )


def family_defaults(family: str) -> FamilyDefaults:
    """Return a family's default sizes; the ValueError of an unknown family names all families."""
    if family not in FAMILIES:
        known = f"{nearest_name(family, FAMILIES)}, expected one of {', '.join(FAMILIES)}"
        raise ValueError(f"family is {family!r}{known}")
    return FAMILIES[family]


def family_config(
    family: str,
    num_features: int,
    *,
    num_layers: int | None = None,
    hidden: tuple[int, ...] | None = None,
    num_components: int | None = None,
    context_features: int = 0,
    log_scale_limit: float | None = None,
) -> FamilyConfig:
    """Build a configuration; sizes that are None get the family's defaults.

    >>> family_config("maf", 4, num_layers=2).hidden
    (128, 128)
    """
    own = family_defaults(family)
    return FamilyConfig(
        family=family,
        num_features=num_features,
        num_layers=own.num_layers if num_layers is None else num_layers,
        hidden=own.hidden if hidden is None else hidden,
        num_components=own.num_components if num_components is None else num_components,
        context_features=context_features,
        log_scale_limit=own.log_scale_limit if log_scale_limit is None else log_scale_limit,
    )


def build_family(config: FamilyConfig) -> Transform:
    """Build the transform of a configuration, over vectors (B, num_features)."""
    sizes = (config.num_features, config.num_layers)
    context, limit = config.context_features, config.log_scale_limit
    match config.family:
        case "nice":
            return nice(*sizes, config.hidden, context)
        case "realnvp":
            return realnvp(*sizes, config.hidden, context, log_scale_limit=limit)
        case "iaf":
            return iaf_stack(*sizes, config.hidden, context)
        case "gaussianization":
            return gaussianization(*sizes, config.num_components)
        case _:  # maf and maf_mixture
            return maf_stack(*sizes, config.hidden, config.num_components, context, limit)


def nice(
    num_features: int, num_layers: int, hidden: tuple[int, ...], context_features: int = 0
) -> Compose:
    """Build NICE: additive couplings whose masks alternate, then one scale for each feature.

    Couplings preserve volume exactly. With three or more, each feature of z depends on all of x.

    Args:
        num_features: D, at least 2.
        num_layers: number of couplings.
        hidden: width of each hidden layer of a coupling's network.
        context_features: size E of an optional context (B, E).
    References:
        NICE (Dinh et al., 2015), sec. 3. arXiv:1410.8516
    """
    couplings = [
        _coupling(Additive(), alternating_mask(num_features, k % 2 == 1), hidden, context_features)
        for k in range(num_layers)
    ]
    return Compose([*couplings, DiagonalScale(num_features)])


def realnvp(
    num_features: int,
    num_layers: int,
    hidden: tuple[int, ...],
    context_features: int = 0,
    permute: bool = False,
    log_scale_limit: float = FAMILIES["realnvp"].log_scale_limit,
) -> Compose:
    """Build RealNVP: affine couplings with bounded scales, and ActNorm before each coupling.

    Args:
        num_features: D, at least 2.
        num_layers: number of couplings.
        hidden: width of each hidden layer of a coupling's network.
        context_features: size E of an optional context (B, E).
        permute: whether each coupling splits the features into halves after its own fixed random
            permutation, instead of by alternating masks.
        log_scale_limit: largest |log-scale| of a feature through all couplings, in nats; half of
            the couplings change a feature. 0 for a limit of `LOG_SCALE_LIMIT` in each coupling.
    References:
        RealNVP (Dinh et al., 2017), sec. 3. arXiv:1605.08803
    """
    limit = log_scale_limit / math.ceil(num_layers / 2) or LOG_SCALE_LIMIT
    layers: list[Transform] = []
    for k in range(num_layers):
        layers.append(DiagonalScale(num_features, shift=True))
        mask = alternating_mask(num_features, k % 2 == 1)
        if permute:
            layers.append(Permutation.random(num_features, seed=k))
            mask = half_mask(num_features)
        layers.append(_coupling(BoundedAffine(limit), mask, hidden, context_features))
    return Compose([*layers, DiagonalScale(num_features, shift=True)])


def maf_stack(
    num_features: int,
    num_layers: int,
    hidden: tuple[int, ...],
    num_components: int = 0,
    context_features: int = 0,
    log_scale_limit: float = FAMILIES["maf"].log_scale_limit,
) -> Compose:
    """Build a stack of masked autoregressive flows that reverses the features between its layers.

    Args:
        num_features: D.
        num_layers: number of autoregressive layers.
        hidden: width of each hidden layer of a layer's masked network.
        num_components: logistics of a mixture-CDF transformer; 0 for an affine transformer.
        context_features: size E of an optional context (B, E).
        log_scale_limit: largest |log-scale| of a feature through all affine layers, in nats; 0 for
            a floor of `LOG_SCALE_FLOOR` in each layer and no upper bound.
    References:
        MAF (Papamakarios et al., 2017), sec. 3. arXiv:1705.07057
    """
    transformer: Transformer = MixtureCdf(num_components) if num_components else ScaleShift()
    if log_scale_limit and not num_components:
        transformer = BoundedScaleShift(log_scale_limit / num_layers)
    start = identity_params(transformer).repeat_interleave(num_features)
    layers = []
    for _ in range(num_layers):
        network = Made(num_features, transformer.num_params, hidden, context_features)
        with torch.no_grad():  # components with equal parameters would have equal gradients
            network.head.bias.copy_(start)
        layers.append(maf(network, transformer))
    return _with_reversals(layers, num_features)


def iaf_stack(
    num_features: int, num_layers: int, hidden: tuple[int, ...], context_features: int = 0
) -> Compose:
    """Build inverse autoregressive flows: sampling is parallel, likelihood takes D steps a layer.

    The log-scales are bounded on both sides, so that no noise overflows.

    Args:
        num_features: D.
        num_layers: number of autoregressive layers; the features are reversed between layers.
        hidden: width of each hidden layer of a layer's masked network.
        context_features: size E of an optional context (B, E).
    References:
        IAF (Kingma et al., 2016), sec. 3. arXiv:1606.04934
    """
    layers = [
        iaf(Made(num_features, 2, hidden, context_features), BoundedAffine())
        for _ in range(num_layers)
    ]
    return _with_reversals(layers, num_features)


def _coupling(
    transformer: Transformer, mask: Tensor, hidden: tuple[int, ...], context_features: int
) -> Coupling:
    network = Mlp(*network_sizes(mask, transformer), hidden, context_features)
    return Coupling(transformer, network, mask)


def _with_reversals(layers: Sequence[Transform], num_features: int) -> Compose:
    chain: list[Transform] = []
    for layer in layers:
        chain += [layer, Permutation.reversed(num_features)]
    return Compose(chain[:-1])
