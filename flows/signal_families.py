"""Coupling flows over audio, which fold the signal into frames and split each frame's samples.

Both directions are parallel over time: a waveform is sampled in one pass, without a teacher. The
networks read past and future frames. `nice_signal` is NICE, and `glow_signal` is WaveGlow, over a
folded signal (docs/math.md). No command trains these flows.
"""

from torch import Tensor

from flows.networks.mlp import NonCausalWaveNet
from flows.networks.wavenet_config import WaveNetConfig
from flows.transforms.actnorm import DiagonalScale
from flows.transforms.base import Compose, Inverse, Transform
from flows.transforms.coupling import Coupling, alternating_mask, half_mask, network_sizes
from flows.transforms.fold import Fold
from flows.transforms.mixing import LinearLU
from flows.transforms.transformers import Additive, BoundedAffine, Transformer


def glow_signal(
    factor: int,
    num_steps: int,
    network: WaveNetConfig,
    context_channels: int = 0,
    num_channels: int = 1,
) -> Compose:
    """Build WaveGlow: each step is ActNorm, an invertible 1x1 convolution and an affine coupling.

    The noise is unfolded, so that it has the data's shape. The flow differs from WaveGlow in two
    ways. Every channel passes through all steps; in WaveGlow two channels leave after every fourth
    step. Each step starts with ActNorm, as in Glow and FloWaveNet.

    Args:
        factor: samples folded into a frame, r. T must be a multiple of r, and T / r a multiple of
            the number of context frames.
        num_steps: number of couplings.
        network: size of each coupling's network, whose layers run over frames.
        context_channels: channels H of a context (B, H, L), such as log-mel; 0 for none.
        num_channels: channels C of the signal (B, C, T).
    References:
        WaveGlow (Prenger et al., 2019). arXiv:1811.00002
        FloWaveNet (Kim et al., 2019). arXiv:1811.02155
    """
    width = factor * num_channels
    steps: list[Transform] = []
    for _ in range(num_steps):
        coupling = _coupling(BoundedAffine(), half_mask(width), network, context_channels)
        steps += [DiagonalScale(width, shift=True), LinearLU(width), coupling]
    return _folded(steps, factor, num_channels)


def nice_signal(
    factor: int,
    num_layers: int,
    network: WaveNetConfig,
    context_channels: int = 0,
    num_channels: int = 1,
) -> Compose:
    """Build NICE over a folded signal: alternating additive couplings, then a scale per channel.

    Args:
        factor: samples folded into a frame, r.
        num_layers: number of couplings.
        network: size of each coupling's network, whose layers run over frames.
        context_channels: channels H of a context (B, H, L); 0 for none.
        num_channels: channels C of the signal (B, C, T).
    References:
        NICE (Dinh et al., 2015). arXiv:1410.8516
    """
    width = factor * num_channels
    couplings = [
        _coupling(Additive(), alternating_mask(width, k % 2 == 1), network, context_channels)
        for k in range(num_layers)
    ]
    return _folded([*couplings, DiagonalScale(width)], factor, num_channels)


def _coupling(
    transformer: Transformer, mask: Tensor, network: WaveNetConfig, context_channels: int
) -> Coupling:
    sizes = network_sizes(mask, transformer)
    return Coupling(transformer, NonCausalWaveNet(network, *sizes, context_channels), mask)


def _folded(steps: list[Transform], factor: int, num_channels: int) -> Compose:
    fold = Fold(factor, num_channels)
    return Compose([fold, *steps, Inverse(fold)])
