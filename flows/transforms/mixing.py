"""Linear maps across features or channels, which mix the coordinates between other layers.

All maps act on axis 1 of vectors (B, D) or signals (B, C, T). In a signal every sample is
multiplied by one matrix.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flows.precision import full_precision
from flows.transforms.base import Transform, check_features


class Permutation(Transform):
    """Put features in another, fixed order: z_i = x_{order[i]}, log-det exactly 0.

    Args:
        order: a permutation of 0 .. D - 1.
    Raises:
        ValueError: if `order` is not a permutation.
    """

    order: Tensor
    inverse_order: Tensor

    def __init__(self, order: Sequence[int]) -> None:
        super().__init__()
        if not order or sorted(order) != list(range(len(order))):
            raise ValueError(f"order is {list(order)}, expected each of 0 .. {len(order) - 1} once")
        self.num_features = len(order)
        self.register_buffer("order", torch.tensor(order))
        self.register_buffer("inverse_order", self.order.argsort())

    @classmethod
    def reversed(cls, num_features: int) -> "Permutation":
        """Put the last feature first."""
        return cls(range(num_features - 1, -1, -1))

    @classmethod
    def random(cls, num_features: int, seed: int) -> "Permutation":
        """Draw an order from a seed."""
        generator = torch.Generator().manual_seed(seed)
        return cls(torch.randperm(num_features, generator=generator).tolist())

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Reorder the features."""
        check_features(x, self.num_features)
        return x[:, self.order], x.new_zeros(x.shape[0])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Restore the order of the features."""
        check_features(z, self.num_features, "z")
        return z[:, self.inverse_order], z.new_zeros(z.shape[0])


class Rotation(Transform):
    r"""Multiply by a trainable orthogonal matrix, a product of D Householder reflections.

    .. math:: Q = \prod_{i=1}^{D} \Big(I - 2 \frac{v_i v_i^T}{\|v_i\|^2}\Big) \operatorname{diag}(d)
                = (I - V S^{-1} V^T) \operatorname{diag}(d), \qquad \log|\det Q| = 0

    The columns of V are the unit vectors :math:`v_i / \|v_i\|`. S is the strict upper triangle of
    :math:`V^T V` plus half the identity. So one triangular solve computes D reflections. With the
    fixed signs d = ±1 the formula reaches any orthogonal matrix. The initial matrix is random.

    Args:
        num_features: D.
    Raises:
        ValueError: if `num_features` is less than 1.
    References:
        Gaussianization flows (Meng et al., 2020). arXiv:2003.01941
        Accumulating Householder transformations, revisited (Joffrain et al., 2006).
    """

    signs: Tensor

    def __init__(self, num_features: int) -> None:
        super().__init__()
        if num_features < 1:
            raise ValueError(f"num_features is {num_features}, expected at least 1")
        self.num_features = num_features
        self.vectors = nn.Parameter(torch.randn(num_features, num_features))
        self.register_buffer("signs", torch.ones(num_features))

    def matrix(self) -> Tensor:
        """Return Q, shape (D, D), orthogonal to rounding."""
        v = F.normalize(self.vectors, dim=0)
        eye = torch.eye(self.num_features).to(v)
        with full_precision(v):
            s = torch.triu(v.T @ v, 1) + 0.5 * eye
            return (eye - v @ torch.linalg.solve_triangular(s, v.T, upper=True)) * self.signs

    @torch.no_grad()
    def set_matrix(self, matrix: Tensor) -> None:
        """Set Q to a given rotation or reflection.

        Args:
            matrix: orthogonal, shape (D, D).
        Raises:
            ValueError: if the shape is wrong or the matrix is not orthogonal to rounding.
        """
        size = self.num_features
        if matrix.shape != (size, size):
            raise ValueError(f"matrix has shape {tuple(matrix.shape)}, expected ({size}, {size})")
        matrix = matrix.to(self.vectors)
        error = float((matrix.T @ matrix - torch.eye(size).to(matrix)).abs().max())
        if not error < math.sqrt(torch.finfo(matrix.dtype).eps):
            raise ValueError(f"matrix is not orthogonal: Q^T Q differs from I by {error:.2g}")
        # Householder's QR decomposes an orthogonal matrix into reflections times signs.
        reflectors = torch.geqrf(matrix).a.tril(-1) + torch.eye(size).to(matrix)
        # A vector's length does not change Q, only how far an optimiser's step turns the vector.
        # Use the length of a random start.
        self.vectors.copy_(math.sqrt(size) * F.normalize(reflectors, dim=0))
        self.signs.fill_(1.0)
        self.signs.copy_((self.matrix() * matrix).sum(0).sign())

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Multiply the features by Q."""
        check_features(x, self.num_features)
        return _multiply(self.matrix(), x), x.new_zeros(x.shape[0])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Multiply the features by the transpose of Q."""
        check_features(z, self.num_features, "z")
        return _multiply(self.matrix().T, z), z.new_zeros(z.shape[0])


class LinearLU(Transform):
    r"""Multiply by a trainable invertible matrix, kept as its LU factors.

    .. math:: W = P L \big(U + \operatorname{diag}(d\, e^{s})\big), \qquad
              \log|\det W| = \sum_i s_i

    The permutation P and the signs d are fixed, L is unit lower triangular, and U is strictly upper
    triangular. On a signal the map is Glow's invertible 1x1 convolution: every sample is multiplied
    by W, and the log-det is T times as large. The initial matrix is a random rotation.

    Args:
        num_features: D or C.
    Raises:
        ValueError: if `num_features` is less than 1.
    References:
        Glow (Kingma & Dhariwal, 2018), sec. 3.2. arXiv:1807.03039
    """

    permutation: Tensor
    signs: Tensor

    def __init__(self, num_features: int) -> None:
        super().__init__()
        if num_features < 1:
            raise ValueError(f"num_features is {num_features}, expected at least 1")
        self.num_features = num_features
        start = torch.linalg.qr(torch.randn(num_features, num_features)).Q
        permutation, lower, upper = torch.linalg.lu(start)
        diagonal = upper.diagonal()
        self.lower = nn.Parameter(lower.tril(-1))
        self.upper = nn.Parameter(upper.triu(1))
        self.log_diagonal = nn.Parameter(diagonal.abs().log())
        self.register_buffer("permutation", permutation)
        self.register_buffer("signs", diagonal.sign())

    def factors(self) -> tuple[Tensor, Tensor]:
        """Return the triangular factors P^T W = L U, shape (D, D) each."""
        lower = self.lower.tril(-1) + torch.eye(self.num_features).to(self.lower)
        return lower, self.upper.triu(1) + torch.diag(self.signs * self.log_diagonal.exp())

    def matrix(self) -> Tensor:
        """Return W, shape (D, D)."""
        lower, upper = self.factors()
        with full_precision(lower):
            return self.permutation @ lower @ upper

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Multiply the features by W."""
        check_features(x, self.num_features)
        return _multiply(self.matrix(), x), self._log_det(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Solve two triangular systems."""
        check_features(z, self.num_features, "z")
        lower, upper = self.factors()
        columns = _multiply(self.permutation.T, z)
        columns = columns.T if z.dim() == 2 else columns
        half = torch.linalg.solve_triangular(lower, columns, upper=False, unitriangular=True)
        x = torch.linalg.solve_triangular(upper, half, upper=True)
        return x.T if z.dim() == 2 else x, -self._log_det(z)

    def _log_det(self, x: Tensor) -> Tensor:
        samples = x.shape[2] if x.dim() == 3 else 1
        return (samples * self.log_diagonal.sum()).expand(x.shape[0])


def _multiply(matrix: Tensor, x: Tensor) -> Tensor:
    """Multiply axis 1 of (B, D) or (B, C, T) by a matrix from the left."""
    with full_precision(x):  # a rounded matrix would have another log-det
        return x @ matrix.T if x.dim() == 2 else matrix @ x
