"""A transform of each feature by itself: a transformer with learned parameters."""

import torch
from torch import Tensor, nn

from flows.normal_quantile import normal_quantile
from flows.transforms.base import Transform, check_features, sum_over_event
from flows.transforms.transformers import Transformer


class Elementwise(Transform):
    r"""Transform every feature by itself, with learned parameters and no conditioner.

    .. math:: z_d = \tau(x_d; \theta_d), \qquad
              \log|\det J| = \sum_d \log|\partial z_d / \partial x_d|

    The input is a vector (B, D) or a signal (B, C, T). Each position of axis 1 has its own
    parameters; all samples of a channel share parameters. A context is ignored.

    Args:
        transformer: the scalar bijection.
        num_features: D or C.
    Raises:
        ValueError: if `num_features` is less than 1.
    """

    def __init__(self, transformer: Transformer, num_features: int) -> None:
        super().__init__()
        if num_features < 1:
            raise ValueError(f"num_features is {num_features}, expected at least 1")
        self.transformer = transformer
        self.num_features = num_features
        start = identity_params(transformer)[:, None]
        self.params = nn.Parameter(start.expand(-1, num_features).clone())

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data to noise, all features at once."""
        check_features(x, self.num_features)
        z, log_det = self.transformer(x, self._shared_params(x))
        return z, sum_over_event(log_det.expand_as(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map noise to data, all features at once."""
        check_features(z, self.num_features, "z")
        x, log_det = self.transformer.inverse(z, self._shared_params(z))
        return x, sum_over_event(log_det.expand_as(z))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set the parameters from data, by the transformer's `initial_params`.

        Args:
            x: data, shape (B, D) or (B, C, T); a few thousand values of each feature are plenty.
        Raises:
            ValueError: if the shape is wrong or there are fewer than two values of a feature.
        """
        check_features(x, self.num_features)
        rows = x if x.dim() == 2 else x.transpose(1, 2).flatten(0, 1)
        if rows.shape[0] < 2:
            raise ValueError(f"x has shape {tuple(x.shape)}, expected two values of each feature")
        self.params.copy_(self.transformer.initial_params(rows))

    def _shared_params(self, like: Tensor) -> Tensor:
        """Return the parameters in the transformer's layout: (1, P, D) or (1, P, C, 1)."""
        return self.params[None] if like.dim() == 2 else self.params[None, :, :, None]


def identity_params(transformer: Transformer) -> Tensor:
    """Return parameters for which a transformer is near the identity, shape (P,).

    The transformer is fitted to standard normal data: quantiles at even steps of probability.
    """
    lower = normal_quantile(torch.log((torch.arange(512) + 0.5) / 1024))
    return transformer.initial_params(torch.cat([lower, -lower.flip(0)])[:, None])[:, 0]
