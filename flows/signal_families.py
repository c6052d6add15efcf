"""Coupling flows over audio: fold the signal into frames, then part the samples of each frame.

Both directions are parallel over time: a waveform is sampled in one pass, and no teacher is needed.
The networks see past and future, at the rate of the frames.
"""

from torch import Tensor

from flows.networks.mlp import NonCausalWaveNet
from flows.networks.wavenet_config import WaveNetConfig
from flows.transforms.actnorm import DiagonalScale
from flows.transforms.base import Compose, Inverse, Transform
from flows.transforms.coupling import Coupling, alternating_mask, half_mask, network_sizes
from flows.transforms.fold import Fold
from flows.transforms.mixing import InvertibleConv1x1
from flows.transforms.transformers import Additive, BoundedAffine, Transformer


def glow_signal(
    factor: int,
    num_steps: int,
    network: WaveNetConfig,
    context_channels: int = 0,
    num_channels: int = 1,
) -> Compose:
    """Build WaveGlow: steps of shift and scale, invertible 1x1 convolution, affine coupling.

    The noise is unfolded again, so that it has the data's shape. Two differences from WaveGlow:
    every channel passes through all steps (there, two leave after every fourth), and each step
    starts with a shift and scale, as Glow's and FloWaveNet's do.

    Args:
        factor: samples folded into a frame, r; T is a multiple of it, and T / r a multiple of the
            context's frames.
        num_steps: couplings.
        network: size of each coupling's network, in layers over frames.
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
        steps += [DiagonalScale(width, shift=True), InvertibleConv1x1(width), coupling]
    return _folded(steps, factor, num_channels)


def nice_signal(
    factor: int,
    num_layers: int,
    network: WaveNetConfig,
    context_channels: int = 0,
    num_channels: int = 1,
) -> Compose:
    """Build NICE over a folded signal: alternating additive couplings, one scale per position.

    Args:
        factor: samples folded into a frame, r.
        num_layers: couplings.
        network: size of each coupling's network, in layers over frames.
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
