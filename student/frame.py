"""What a student that draws whole frames knows of each sample."""

from collections.abc import Sequence

import torch
from torch import Tensor

from flows.precision import full_precision


def sample_by_sample(
    z: Tensor, loc: Tensor, log_scales: Sequence[Tensor], rotations: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    r"""Write the Gaussian of each frame as one sample after the other.

    .. math:: x_n = b_n + A_n z_n, \quad A_n = D_K Q_{K-1} D_{K-1} \cdots Q_1 D_1, \quad
              D_k = \operatorname{diag}(e^{s_k}), \qquad A_n = L_n V_n

    with L lower triangular and V orthogonal, from the QR decomposition of A's transpose. The noise
    :math:`\epsilon_n = V_n z_n` is white, too, and sample i of the frame depends on
    :math:`\epsilon_{n,1} \dots \epsilon_{n,i}`, which say the same as the samples up to i:

    .. math:: x_{n,i} \mid x_{<(n,i)} \sim \mathcal N\Big(b_{n,i} + \sum_{j<i} L_{ij}\epsilon_j,\;
              L_{ii}^2\Big), \qquad \sum_i \log|L_{ii}| = \sum_{k,i} s_{k,i}

    The decomposition is in full precision whatever that of the networks.

    Args:
        z: noise in frames, shape (B, r, N).
        loc: b, what the steps make of no noise in the frame itself, same shape.
        log_scales: s of each step, noise side first, same shape each.
        rotations: Q between the steps, shape (r, r) each, one fewer than the steps.
    Returns:
        location of each sample given all before it and its log-scale in nats, shape (B, r, N).
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
