"""The distribution of each single sample of a student that draws whole frames."""

from collections.abc import Sequence

import torch
from torch import Tensor

from flows.precision import full_precision


def sample_by_sample(
    z: Tensor, loc: Tensor, log_scales: Sequence[Tensor], rotations: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    r"""Factor the Gaussian of each frame into conditional Gaussians of its samples.

    .. math:: x_n = b_n + A_n z_n, \quad A_n = D_K Q_{K-1} D_{K-1} \cdots Q_1 D_1, \quad
              D_k = \operatorname{diag}(e^{s_k}), \qquad A_n = L_n V_n

    L is lower triangular and V is orthogonal; the QR decomposition of A's transpose gives both. The
    noise :math:`\epsilon_n = V_n z_n` is white, because V is orthogonal. Samples 1 to i of the
    frame and the noise values :math:`\epsilon_{n,1} \dots \epsilon_{n,i}` determine each other:

    .. math:: x_{n,i} \mid x_{<(n,i)} \sim \mathcal N\Big(b_{n,i} + \sum_{j<i} L_{ij}\epsilon_j,\;
              L_{ii}^2\Big), \qquad \sum_i \log|L_{ii}| = \sum_{k,i} s_{k,i}

    The decomposition runs in full precision, whatever precision the networks have.

    Args:
        z: noise in frames, shape (B, r, N).
        loc: b, the output of the steps if the frame's own noise is zero, shape (B, r, N).
        log_scales: s of each step in nats, noise side first, shape (B, r, N) each.
        rotations: Q between the steps, shape (r, r) each, one fewer than the steps.
    Returns:
        location and log-scale (nats) of each sample given all samples before it, shape (B, r, N)
        each.
    """
    with full_precision(z):
        scales = [log_scale.mT.exp() for log_scale in log_scales]
        matrix = torch.diag_embed(scales[0])  # (B, N, r, r)
        for rotation, scale in zip(rotations, scales[1:], strict=True):
            matrix = scale[..., None] * (rotation @ matrix)
        orthogonal, upper = torch.linalg.qr(matrix.mT)
        lower = upper.mT
        white = orthogonal.mT @ z.mT[..., None]
        earlier = (lower.tril(-1) @ white)[..., 0]
        log_scale = lower.diagonal(dim1=-2, dim2=-1).abs().log()
    return loc + earlier.mT, log_scale.mT
