"""Coupling flows: part a of the features passes unchanged and determines the map of part b.

Both directions are one parallel pass. Neither direction inverts the network, so the network may be
any function. If the features of part a come first, the Jacobian is triangular. So its
log-determinant is a sum, O(D).
"""

import torch
from torch import Tensor, nn

from flows.transforms.base import Transform, check_features, sum_over_event
from flows.transforms.transformers import Transformer


class CouplingNetwork(nn.Module):
    """A network that reads part a and computes the parameters of part b."""

    num_inputs: int
    num_params: int
    num_outputs: int

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Compute the parameters.

        Args:
            x: part a, which passes unchanged, shape (B, num_inputs) or (B, num_inputs, T).
            context: conditioning, as the network documents.
        Returns:
            parameters, shape (B, P, num_outputs) or (B, P, num_outputs, T).
        """
        raise NotImplementedError


class Coupling(Transform):
    r"""Transform part b of the features with parameters computed from part a.

    .. math:: z_a = x_a, \qquad z_b = \tau(x_b;\, h(x_a, c)), \qquad
              \log|\det J| = \sum_b \log|\partial z_b / \partial x_b|

    With an additive transformer the coupling is a layer of NICE, and with an affine transformer a
    layer of RealNVP. The features are axis 1 of a vector (B, D) or a signal (B, C, T). Several
    couplings change all features, if their masks alternate or the features are mixed in between.

    Args:
        transformer: the elementwise bijection of part b.
        network: the network, which reads part a and the context.
        mask: booleans of shape (D,) or (C,), True for part a, False for part b.
    References:
        NICE (Dinh et al., 2015), sec. 3.2. arXiv:1410.8516
        RealNVP (Dinh et al., 2017), sec. 3.2. arXiv:1605.08803
    """

    passed: Tensor
    changed: Tensor

    def __init__(self, transformer: Transformer, network: CouplingNetwork, mask: Tensor) -> None:
        super().__init__()
        expected = network_sizes(mask, transformer)
        sizes = (network.num_inputs, network.num_params, network.num_outputs)
        if sizes != expected:
            raise ValueError(
                f"the network has (num_inputs, num_params, num_outputs) {sizes}, but this mask and "
                f"{type(transformer).__name__} take {expected}"
            )
        self.num_features = len(mask)
        self.transformer = transformer
        self.network = network
        self.register_buffer("passed", mask.nonzero()[:, 0], persistent=False)
        self.register_buffer("changed", (~mask).nonzero()[:, 0], persistent=False)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data to noise in one parallel pass."""
        check_features(x, self.num_features)
        params = self.network(x.index_select(1, self.passed), context)
        z, log_det = self.transformer(x.index_select(1, self.changed), params)
        return x.index_copy(1, self.changed, z), sum_over_event(log_det)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map noise to data in one parallel pass."""
        check_features(z, self.num_features, "z")
        params = self.network(z.index_select(1, self.passed), context)
        x, log_det = self.transformer.inverse(z.index_select(1, self.changed), params)
        return z.index_copy(1, self.changed, x), sum_over_event(log_det)


def network_sizes(mask: Tensor, transformer: Transformer) -> tuple[int, int, int]:
    """Return (num_inputs, num_params, num_outputs) of the network that a coupling needs.

    Args:
        mask: booleans of shape (D,) or (C,), True for features that pass unchanged.
        transformer: the bijection of the other features.
    Raises:
        ValueError: if the mask does not split the features into two parts.
    """
    num_passed = int(mask.sum())
    if mask.dtype != torch.bool or mask.dim() != 1 or not 0 < num_passed < len(mask):
        raise ValueError(
            f"mask has dtype {mask.dtype}, shape {tuple(mask.shape)} and {num_passed} set, "
            "expected booleans of shape (D,), at least one True and one False"
        )
    return num_passed, transformer.num_params, len(mask) - num_passed


def alternating_mask(num_features: int, odd: bool = False) -> Tensor:
    """Return a mask that passes every second feature, beginning with the second one if `odd`.

    >>> alternating_mask(5)
    tensor([ True, False,  True, False,  True])
    """
    return torch.arange(num_features) % 2 == int(odd)


def half_mask(num_features: int, swapped: bool = False) -> Tensor:
    """Return a mask that passes the first half of the features, or the second half if `swapped`.

    >>> half_mask(5)
    tensor([ True,  True, False, False, False])
    """
    return (torch.arange(num_features) < num_features // 2) != swapped
