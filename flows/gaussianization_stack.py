"""Gaussianization flows: make the marginals Gaussian, rotate, and again."""

import torch
from torch import Tensor

from flows.density import Flow, StandardNormal
from flows.transforms.base import Compose, check_features
from flows.transforms.elementwise import Elementwise
from flows.transforms.mixing import Rotation
from flows.transforms.mixture import MixtureCdf
from flows.transforms.transformers import LOG_SCALE_FLOOR


class GaussianizationLayer(Compose):
    r"""Rotate the features, then make the marginal of each Gaussian.

    .. math:: z_d = \Phi^{-1}(F_d((Q x)_d)), \qquad
              \log|\det J| = \sum_d \log f_d((Q x)_d) - \log \phi(z_d)

    Exact marginals take away all of the KL from the data to the standard normal but the dependence
    between features, some of which the next rotation turns into marginals.

    Args:
        num_features: D or C.
        num_components: logistics in each marginal, K.
        log_scale_floor: lower bound of their log-scales in nats.
    References:
        Gaussianization (Chen & Gopinath, 2000).
        Gaussianization flows (Meng et al., 2020). arXiv:2003.01941
    """

    def __init__(
        self,
        num_features: int,
        num_components: int,
        log_scale_floor: float = LOG_SCALE_FLOOR,
    ) -> None:
        rotation = Rotation(num_features)
        marginals = Elementwise(MixtureCdf(num_components, log_scale_floor), num_features)
        super().__init__([rotation, marginals])
        self.num_features = num_features

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Fit the marginals under several rotations and keep the rotation of greatest likelihood.

        Tried are no rotation, the principal axes, and the random rotation there was.

        Args:
            x: data, shape (B, D) or (B, C, T).
        Raises:
            ValueError: if the shape is wrong or there are fewer than two values of a feature.
        """
        check_features(x, self.num_features)
        rotation, marginals = self.transforms
        assert isinstance(rotation, Rotation)
        assert isinstance(marginals, Elementwise)
        density = Flow(StandardNormal(), self)
        scores, states = [], []
        for matrix in (torch.eye(self.num_features), principal_axes(x), rotation.matrix()):
            rotation.set_matrix(matrix)
            marginals.initialise(rotation(x)[0])
            scores.append(float(density.log_prob(x).mean()))
            states.append({name: value.clone() for name, value in self.state_dict().items()})
        self.load_state_dict(states[scores.index(max(scores))])


def principal_axes(x: Tensor) -> Tensor:
    """Return the eigenvectors of the features' covariance as rows, shape (D, D).

    Args:
        x: data, shape (B, D) or (B, C, T); covariances are over batch and time.
    Raises:
        ValueError: if there are fewer than two values of a feature.
    """
    columns = x.transpose(0, 1).flatten(1)
    if columns.shape[1] < 2:
        raise ValueError(f"x has shape {tuple(x.shape)}, expected two values of each feature")
    covariance = torch.cov(columns).reshape(len(columns), len(columns))  # a scalar where D = 1
    return torch.linalg.eigh(covariance).eigenvectors.T


def gaussianization(
    num_features: int,
    num_layers: int = 6,
    num_components: int = 8,
    log_scale_floor: float = LOG_SCALE_FLOOR,
) -> Compose:
    """Build a Gaussianization flow.

    Start it from data with `flows.initialise`: this alone is rotation-based iterative
    Gaussianization (Laparra et al., 2011), which maximum likelihood then improves.

    Args:
        num_features: D of vectors (B, D), or C of signals (B, C, T), each sample mapped alike.
        num_layers: rotations, each followed by a mixture CDF for each feature.
        num_components: logistics in each mixture, K.
        log_scale_floor: lower bound of their log-scales in nats.
    Raises:
        ValueError: if there are no layers, features or components.
    References:
        Gaussianization flows (Meng et al., 2020). arXiv:2003.01941
        Iterative Gaussianization: from ICA to random rotations (Laparra et al., 2011).
        arXiv:1602.00229
    """
    if num_layers < 1:
        raise ValueError(f"num_layers is {num_layers}, expected at least 1")
    return Compose(
        GaussianizationLayer(num_features, num_components, log_scale_floor)
        for _ in range(num_layers)
    )
